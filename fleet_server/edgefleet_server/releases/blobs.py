"""Files by their content: written whole and durable under their SHA-256, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType

from edgefleet_contract.errors import HashMismatch, InputError, ServerDiskFailed
from edgefleet_server.data_folder import sync_folder
from edgefleet_server.storage import telling_disk_failures

CHUNK = 1 << 20  # bytes read at a time
_PROBE_BYTES = 4096  # that show whether the disk takes any


class BlobStore:
    """The blob folder of a server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for abandoned in folder.glob(".*.part"):
            abandoned.unlink()

    def path(self, sha256: str) -> Path:
        """Where the blob lies, if it is there."""
        return self._folder / sha256

    def file(self, sha256: str) -> Path:
        """Where a blob lies that the database knows of.

        Raises:
            ServerDiskFailed: It is gone.
        """
        path = self.path(sha256)
        if not path.is_file():
            raise _gone(path, "no such file")
        return path

    def size(self, sha256: str) -> int | None:
        """How many bytes of the blob are there; None when it is gone."""
        try:
            return self.path(sha256).stat().st_size
        except OSError:
            return None

    def probe(self) -> None:
        """Write something to the disk, and take it away again.

        Raises:
            ServerDiskFailed: It did not arrive.
        """
        with self.receive("0" * 64, CHUNK) as writer:
            writer.write(bytes(_PROBE_BYTES))
            writer.flush()

    def receive(self, sha256: str, limit: int) -> BlobWriter:
        """A writer for a blob of at most ``limit`` bytes."""
        return BlobWriter(self._folder, sha256, limit)

    def store(self, sha256: str, content: bytes) -> None:
        """Keep ``content``, whose hash must be ``sha256``."""
        with self.receive(sha256, len(content)) as writer:
            writer.write(content)
            writer.finish()

    def read_range(self, sha256: str, offset: int, length: int) -> bytes:
        """A part of a blob.

        Raises:
            ServerDiskFailed: It is gone, or shorter than it was.
        """
        path = self.path(sha256)
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                data = os.pread(descriptor, length, offset)
            finally:
                os.close(descriptor)
        except OSError as cause:
            raise _gone(path, cause.strerror) from cause
        if len(data) != length:
            raise _gone(path, f"it ends before byte {offset + length}")
        return data


class BlobWriter:
    """Takes the bytes of one blob. Leaving the ``with`` block without :meth:`finish` leaves nothing behind."""

    def __init__(self, folder: Path, sha256: str, limit: int) -> None:
        self._folder = folder
        self._sha256 = sha256
        self._limit = limit
        self._temporary = folder / f".{secrets.token_hex(8)}.part"
        self._hasher = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> BlobWriter:
        with telling_disk_failures():
            self._file = self._temporary.open("xb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what a full disk has not taken is flushed once more by closing
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            InputError: They are more than the limit.
            ServerDiskFailed: The disk does not take them.
        """
        self.size += len(chunk)
        if self.size > self._limit:
            raise InputError(f"The upload has more than {self._limit} bytes", expected=f"at most {self._limit}")
        self._hasher.update(chunk)
        with telling_disk_failures():
            self._file.write(chunk)

    def flush(self) -> None:
        """Make durable what was written, under no name yet.

        Raises:
            ServerDiskFailed: The disk does not take it.
        """
        with telling_disk_failures():
            self._file.flush()
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Make the blob durable under its name.

        Raises:
            HashMismatch: The bytes are not those that the name promises.
            ServerDiskFailed: The disk does not take them.
        """
        if self._hasher.hexdigest() != self._sha256:
            raise HashMismatch(
                f"The upload of {self.size} bytes has the SHA-256 {self._hasher.hexdigest()}",
                expected=self._sha256,
                remedy="Send the file again.",
            )
        self.flush()
        with telling_disk_failures():
            self._temporary.replace(self._folder / self._sha256)
            sync_folder(self._folder)


def _gone(path: Path, why: str | None) -> ServerDiskFailed:
    return ServerDiskFailed(
        f"The stored file {str(path)!r} cannot be read: {why}",
        remedy="Push its release again, or bring the file back from a copy of the data folder.",
        sha256=path.name,
    )
