"""The bundle file (``.efb``): a stored zip of ``manifest.json`` and content-addressed blobs.

Any unzip tool opens it, yet nothing here parses a zip. The layout has no freedom: the manifest comes first, then one
blob a distinct hash in the manifest's order, then the central directory, with all fields fixed (APPNOTE.TXT 6.3.10,
sections 4.3.7, 4.3.12 and 4.3.16). A reader derives every header from the manifest and compares bytes, so that links,
compression, path escapes, duplicate or hidden entries and trailing data have no way to be expressed.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edgefleet_contract import manifest as manifests
from edgefleet_contract.errors import BundleDamaged, BundleMalformed, HashMismatch
from edgefleet_contract.manifest import FileEntry, Manifest
from edgefleet_contract.sealing.files import open_sealed

BUNDLE_LIMIT = 1 << 30  # bytes: far below 4 GiB, where a zip needs other headers
FILES_LIMIT = 64
CHUNK = 1 << 18  # bytes read at a time

_MANIFEST_NAME = b"manifest.json"
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_ZIP_VERSION = 20
_DIRECTORY_LIMIT = 16 * 1024  # bytes: more than the directory of FILES_LIMIT blobs and the end record take
_DOS_DATE = (1 << 5) | 1  # 1980-01-01, the zero of zip's calendar: no clock enters a bundle
_MODE = 0o100644 << 16


def write_bundle(destination: BinaryIO, manifest: Manifest, contents: Mapping[str, bytes | Path]) -> str:
    """Write a bundle; equal arguments give equal bytes.

    Args:
        destination: Opened for writing, at its start.
        manifest: Its ``files`` say what is written, and with which hash and size.
        contents: For each path of the manifest's files, the bytes or the file that has them.

    Returns:
        The bundle's identity: the digest of its manifest.

    Raises:
        HashMismatch: Contents that are not those of their manifest entry.
        BundleMalformed: Too many files or bytes, or a manifest that does not decode.
    """
    encoded = manifests.encode(manifest)
    checked = manifests.decode(encoded)
    layout = _Layout(checked, len(encoded))
    crcs = [zlib.crc32(encoded)]
    destination.write(_local_header(_MANIFEST_NAME, crcs[0], len(encoded)))
    destination.write(encoded)
    for entry in layout.blobs:
        source = contents[entry.path]
        crcs.append(_crc_of(source, entry))
        destination.write(_local_header(_blob_name(entry), crcs[-1], entry.bytes))
        destination.writelines(_chunks_of(source))
    destination.write(layout.directory(crcs))
    return manifests.digest(encoded)


class Bundle:
    """A bundle opened for reading. Opening checks the framing and the manifest; contents are checked as they are read.

    Args:
        path: The file.
        key: Of a private bundle, which is sealed: it is opened piece by piece as it is read, and never as a whole.

    Attributes:
        manifest: What the bundle says of itself.
        manifest_bytes: The exact bytes of the manifest.
        digest: The bundle's identity.

    Raises:
        BundleMalformed: The file is no bundle, or its manifest contradicts itself.
        BundleDamaged: It is not in the canonical layout.
        SealBroken: It is not sealed with ``key``, or was changed.
    """

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        try:
            self._file: BinaryIO = path.open("rb") if key is None else open_sealed(path, key)
        except OSError as cause:
            raise BundleMalformed(f"The bundle {str(path)!r} cannot be read: {cause.strerror}") from cause
        try:
            self._read_frame()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def chunks(self, path: str) -> Iterator[bytes]:
        """The contents of ``path``, piece by piece; use them only once the iteration has ended without an error.

        Raises:
            HashMismatch: At the end, if the contents are not those of the manifest.
            BundleMalformed: The manifest lists no such file.
        """
        entry = self.manifest.file(path)
        index, offset = self._blobs[entry.sha256]
        self._file.seek(offset)
        hasher, crc, left = hashlib.sha256(), 0, entry.bytes
        while left:
            chunk = self._file.read(min(CHUNK, left))
            if not chunk:
                break
            hasher.update(chunk)
            crc = zlib.crc32(chunk, crc)
            left -= len(chunk)
            yield chunk
        if left or hasher.hexdigest() != entry.sha256 or crc != self._crcs[index]:
            raise HashMismatch(
                f"The contents of {path!r} do not have the hash that the manifest names",
                remedy="Get the bundle again from where it was made.",
                path=path,
            )

    def read(self, path: str) -> bytes:
        """The whole contents of ``path``; errors as :meth:`chunks`."""
        return b"".join(self.chunks(path))

    def verify(self) -> None:
        """Read everything once.

        Raises:
            HashMismatch: Some contents are not those of the manifest.
        """
        for entry in self.manifest.files:
            for _ in self.chunks(entry.path):
                pass

    def _read_frame(self) -> None:
        size = self._file.seek(0, 2)
        if size > BUNDLE_LIMIT:
            raise BundleMalformed(f"The bundle has {size} bytes", expected=f"at most {BUNDLE_LIMIT}")
        self._check_kind()
        crc, length = self._read_header(0, _MANIFEST_NAME)
        self.manifest_bytes = self._file.read(min(length, manifests.MANIFEST_LIMIT))
        if len(self.manifest_bytes) != length or zlib.crc32(self.manifest_bytes) != crc:
            raise _damaged("The manifest is truncated or changed")
        self.manifest = manifests.decode(self.manifest_bytes)
        self.digest = manifests.digest(self.manifest_bytes)
        layout = _Layout(self.manifest, length)
        if size != layout.total_bytes:
            raise _damaged(f"The bundle has {size} bytes where its manifest makes {layout.total_bytes}")
        self._crcs = [crc]
        self._blobs: dict[str, tuple[int, int]] = {}
        for index, (entry, offset) in enumerate(zip(layout.blobs, layout.offsets[1:], strict=True), start=1):
            blob_crc, blob_length = self._read_header(offset, _blob_name(entry))
            if blob_length != entry.bytes:
                raise _damaged(
                    f"The blob of {entry.path!r} has {blob_length} bytes where its manifest says {entry.bytes}"
                )
            self._crcs.append(blob_crc)
            self._blobs[entry.sha256] = (index, self._file.tell())
        self._file.seek(layout.directory_offset)
        if self._file.read() != layout.directory(self._crcs):
            raise _damaged("The bundle's directory is not the one that its contents have")

    def _check_kind(self) -> None:
        """Tell a damaged bundle from a file that never was one, another zip among them.

        The manifest is named at the start and, as the entry at offset 0, in the directory at the end: no flipped bit,
        lost block or shift of the contents hides both.
        """
        self._file.seek(0)
        start = self._file.read(_LOCAL.size + len(_MANIFEST_NAME))
        self._file.seek(max(0, self._file.seek(0, 2) - _DIRECTORY_LIMIT))
        end = self._file.read(_DIRECTORY_LIMIT)
        if not start.endswith(_MANIFEST_NAME) and bytes(4) + _MANIFEST_NAME not in end:
            raise BundleMalformed("The file is no bundle", expected="an .efb file that edgefleet wrote")

    def _read_header(self, offset: int, name: bytes) -> tuple[int, int]:
        """CRC and size of the local header at ``offset``, which must be the canonical one for ``name``."""
        self._file.seek(offset)
        raw = self._file.read(_LOCAL.size + len(name))
        if len(raw) == _LOCAL.size + len(name):
            crc, size = _LOCAL.unpack_from(raw)[6:8]
            if raw == _local_header(name, crc, size):
                return crc, size
        raise _damaged(f"At byte {offset} there is no canonical header of {name.decode()!r}")


def _damaged(seen: str) -> BundleDamaged:
    return BundleDamaged(seen, expected="the bytes that edgefleet wrote", remedy="Get the bundle again.")


class _Layout:
    """Where everything stands, derived from the manifest alone."""

    def __init__(self, manifest: Manifest, manifest_bytes: int) -> None:
        if len(manifest.files) > FILES_LIMIT:
            raise BundleMalformed(f"The manifest lists {len(manifest.files)} files", expected=f"at most {FILES_LIMIT}")
        distinct = {entry.sha256: entry for entry in reversed(manifest.files)}
        self.blobs = [entry for entry in manifest.files if distinct[entry.sha256] is entry]
        for entry in manifest.files:
            if entry.bytes != distinct[entry.sha256].bytes:
                raise BundleMalformed(f"The manifest gives one hash two sizes: {entry.path!r}")
        self._entries = [(_MANIFEST_NAME, manifest_bytes)]
        self._entries += [(_blob_name(entry), entry.bytes) for entry in self.blobs]
        self.offsets = [0]
        for name, size in self._entries:
            self.offsets.append(self.offsets[-1] + _LOCAL.size + len(name) + size)
        self.directory_offset = self.offsets.pop()
        directory_bytes = sum(_CENTRAL.size + len(name) for name, _ in self._entries)
        self.total_bytes = self.directory_offset + directory_bytes + _END.size
        if self.total_bytes > BUNDLE_LIMIT:
            raise BundleMalformed(f"The bundle would have {self.total_bytes} bytes", expected=f"at most {BUNDLE_LIMIT}")

    def directory(self, crcs: list[int]) -> bytes:
        """The central directory and its end record."""
        records = [
            _CENTRAL.pack(
                b"PK\1\2", (3 << 8) | _ZIP_VERSION, _ZIP_VERSION, 0, 0, 0, _DOS_DATE, crc, size, size,
                len(name), 0, 0, 0, 0, _MODE, offset,
            ) + name
            for (name, size), crc, offset in zip(self._entries, crcs, self.offsets, strict=True)
        ]  # fmt: skip
        body = b"".join(records)
        count = len(records)
        return body + _END.pack(b"PK\5\6", 0, 0, count, count, len(body), self.directory_offset, 0)


def _local_header(name: bytes, crc: int, size: int) -> bytes:
    return _LOCAL.pack(b"PK\3\4", _ZIP_VERSION, 0, 0, 0, _DOS_DATE, crc, size, size, len(name), 0) + name


def _blob_name(entry: FileEntry) -> bytes:
    return f"blobs/sha256/{entry.sha256}".encode()


def _chunks_of(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _crc_of(source: bytes | Path, entry: FileEntry) -> int:
    """CRC-32 of ``source``, whose hash and size must be those of ``entry``."""
    hasher, crc, size = hashlib.sha256(), 0, 0
    for chunk in _chunks_of(source):
        hasher.update(chunk)
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
    if (hasher.hexdigest(), size) != (entry.sha256, entry.bytes):
        raise HashMismatch(f"The contents given for {entry.path!r} are not those of its manifest entry")
    return crc


def transfer_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes of a whole file: what a transfer of it is checked against."""
    hasher, size = hashlib.sha256(), 0
    for chunk in _chunks_of(path):
        hasher.update(chunk)
        size += len(chunk)
    return hasher.hexdigest(), size
