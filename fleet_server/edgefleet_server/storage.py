"""Failures of the disk below us, told as what they are: full, read-only, broken."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from edgefleet_contract.errors import ServerDiskFailed

_REMEDY = "Free or mend the disk of the server's data folder; devices and commands try again."
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
_OF_SQLITE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)


def disk_failure(cause: OSError) -> ServerDiskFailed | None:
    """The error that a failure of the disk is told as; None when it is none."""
    if cause.errno not in _OF_THE_DISK:
        return None
    where = f" {str(cause.filename)!r}" if cause.filename else ""
    return ServerDiskFailed(f"The server cannot write{where}: {cause.strerror}", remedy=_REMEDY)


@contextmanager
def telling_disk_failures() -> Iterator[None]:
    """What fails within, in SQLite or in a file, because of the disk becomes an error that says so.

    Raises:
        ServerDiskFailed: The disk is full, read-only or broken, or the file is no database (fact ``sqlite``).
    """
    try:
        yield
    except OSError as cause:
        told = disk_failure(cause)
        if told is None:
            raise
        raise told from cause
    except (DBAPIError, sqlite3.Error) as cause:
        first = _failure_of_sqlite(cause)
        if first is None:
            raise
        raise ServerDiskFailed(
            f"The database cannot be used: {first}", remedy=_REMEDY, sqlite=first.sqlite_errorname
        ) from cause


def _failure_of_sqlite(error: BaseException | None) -> sqlite3.Error | None:
    """The failure of the disk behind ``error``: a full disk takes savepoints away, and so their rollback fails too."""
    while error is not None:
        # Of an extended code the lowest byte is the code that it extends.
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_SQLITE:
            return error
        error = error.__cause__ or error.__context__
    return None
