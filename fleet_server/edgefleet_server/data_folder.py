"""The server's data folder: its layout, its lock, and durable writes into it.

::

    edgefleet.db  ca/  keys/  blobs/sha256/  broker/  hooks/  admin.token  addresses.json  lock
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from edgefleet_contract.errors import DataFolderInUse, DataFolderMalformed

_LOCK = "lock"
_RETIRED = "retired"
_TOKEN_LENGTH = 16  # characters of an admin token, at least


def make_private(folder: Path) -> None:
    """Make ``folder`` and what is missing above it for the owner alone; one that exists is left as it is.

    Raises:
        OSError: It cannot be made, or is somebody else's.
    """
    for missing in reversed([parent for parent in folder.parents if not parent.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # mkdir(parents=True) would give these the default mode
    folder.mkdir(mode=0o700, exist_ok=True)


class DataFolder:
    """An opened and locked data folder. One process at a time.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        """Open, make where it is missing, and lock.

        Raises:
            DataFolderMalformed: It is a file, cannot be written, or holds what is not ours.
            DataFolderInUse: Another process has it.
        """
        self.path = path
        _check_ours(path)
        try:
            make_private(path)
        except OSError as cause:
            raise DataFolderMalformed(f"The data folder {str(path)!r} cannot be used: {cause.strerror}") from cause
        self._lock = _lock(path)
        for part in (self.authority, self.keys, self.blobs, self.broker, self.hooks):
            make_private(part)

    def close(self) -> None:
        """Give the lock back."""
        self._lock.close()

    @property
    def authority(self) -> Path:
        """The fleet's certificate authority and the certificates of this server."""
        return self.path / "ca"

    @property
    def keys(self) -> Path:
        """The online signing keys."""
        return self.path / "keys"

    @property
    def content_keys(self) -> Path:
        """Keys of private bundles."""
        return self.keys / "content"

    @property
    def blobs(self) -> Path:
        """Files by their content."""
        return self.path / "blobs" / "sha256"

    @property
    def broker(self) -> Path:
        """Configuration and log of the broker child."""
        return self.path / "broker"

    @property
    def hooks(self) -> Path:
        """Programs of the operator that are asked whether a device may enroll."""
        return self.path / "hooks"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the SQLite database."""
        return f"sqlite:///{self.path / 'edgefleet.db'}"

    def admin_token(self) -> str | None:
        """The first admin's token, made at the first start; None once somebody has written ``retired`` in its place.

        Raises:
            DataFolderMalformed: It cannot be read, or is too short to keep anybody out.
        """
        path = admin_token_path(self.path)
        if not path.exists():
            write_durable(path, secrets.token_urlsafe(32).encode() + b"\n")
        token = read_kept(path).decode("ascii", "replace").strip()
        if token == _RETIRED:
            return None
        if len(token) < _TOKEN_LENGTH:
            raise DataFolderMalformed(
                f"The admin token in {str(path)!r} has {len(token)} characters",
                expected=f"{_TOKEN_LENGTH} at least",
                remedy="Remove the file: the next start makes another token.",
            )
        return token


def check_free(path: Path) -> None:
    """Refuse a data folder that :class:`DataFolder` would refuse, and make nothing.

    Raises:
        DataFolderMalformed, DataFolderInUse: As :class:`DataFolder`.
    """
    _check_ours(path)
    if (path / _LOCK).exists():
        _lock(path).close()


def check_present(path: Path) -> None:
    """Refuse a folder in which no server has run yet.

    Raises:
        DataFolderMalformed: It is none.
    """
    if not (path / _LOCK).exists():
        raise DataFolderMalformed(
            f"There is no data folder of a fleet server at {str(path)!r}",
            expected="one that `edgefleet server run` made",
            remedy="Name it with --data.",
        )


@contextmanager
def for_the_owner_alone() -> Iterator[None]:
    """Whatever is written within can be read by nobody else: the database and its journals, logs, stored files."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def read_kept(path: Path) -> bytes:
    """A file that was made once and is needed ever after.

    Raises:
        DataFolderMalformed: It is gone, or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as cause:
        raise lost(path, cause.strerror or "it cannot be read") from cause


def lost(path: Path, why: str) -> DataFolderMalformed:
    """The error of a file that nothing new can replace, for devices trust what it was."""
    return DataFolderMalformed(
        f"The file {str(path)!r} cannot be used: {why}",
        remedy="Bring it back from a copy of the data folder; devices trust no other.",
        path=str(path),
    )


def is_admin_token_retired(data: Path) -> bool:
    """Whether somebody has put the admin token out of use."""
    return read_kept(admin_token_path(data)).strip() == _RETIRED.encode()


def admin_token_path(data: Path) -> Path:
    """Where the token of a server lies, for commands on the same machine."""
    return data / "admin.token"


def addresses_path(data: Path) -> Path:
    """Where a server writes where it can be reached."""
    return data / "addresses.json"


def write_durable(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` so that after a crash it has the old content or the new one, never half of it."""
    with whole_file(path, mode) as file:
        file.write(content)
    sync_folder(path.parent)


@contextmanager
def whole_file(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file to write that gets the name ``path`` when the block ends, on the disk as a whole; or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> IO[str]:
    try:
        opened = (path / _LOCK).open("a")
    except OSError as cause:
        raise DataFolderMalformed(f"The data folder {str(path)!r} cannot be used: {cause.strerror}") from cause
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        opened.close()
        raise DataFolderInUse(
            f"Another process has the data folder {str(path)!r}",
            remedy="Stop the other server, or name another folder with --data.",
        ) from cause
    return opened


def _check_ours(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise DataFolderMalformed(f"The data folder {str(path)!r} is a file", expected="a folder, or a path to make")
    if not (path / _LOCK).exists() and any(path.iterdir()):
        raise DataFolderMalformed(
            f"The folder {str(path)!r} holds files, and not those of a fleet server",
            expected="an empty folder, or one that `edgefleet server run` made",
        )
