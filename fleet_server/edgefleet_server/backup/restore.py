"""Brings a data folder back from a backup: all of it, checked, or nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from edgefleet_contract.errors import BackupRefused, DataFolderMalformed, UsageMalformed
from edgefleet_server import migrate, surviving
from edgefleet_server.audit.change import Change
from edgefleet_server.backup import old_rights
from edgefleet_server.backup.contents import DATABASE, TABLE, TABLE_LIMIT, Entry, Table, decode_table, is_program
from edgefleet_server.backup.sealing import MAGIC, SealedReader
from edgefleet_server.clock import Clock, system_clock
from edgefleet_server.data_folder import DataFolder, make_private, sync_folder, write_durable
from edgefleet_server.db import Database
from edgefleet_server.storage import telling_disk_failures

_CHUNK = 1 << 20


def restore(
    file: Path,
    data: Path,
    ask_passphrase: Callable[[], str],
    *,
    revocations: Path | None = None,
    clock: Clock = system_clock,
) -> Table:
    """Bring back a data folder.

    Everything is written beside ``data`` and takes its name at the end, so that a backup which turns out to be damaged
    leaves nothing behind.

    Args:
        file: The backup.
        data: A folder that is empty, or not there.
        ask_passphrase: Called if the backup is sealed.
        revocations: A revocation list (PEM) of the lost server that has survived, at a broker or as a copy.
        clock: UTC milliseconds.

    Raises:
        UsageMalformed: A file cannot be read, or is no revocation list of this fleet's authority.
        BackupRefused: The file is no backup, is damaged, or is sealed with another passphrase.
        DataFolderMalformed: ``data`` holds something, or the backup is of a newer edgefleet.
    """
    if data.is_symlink() or (data.exists() and (not data.is_dir() or any(data.iterdir()))):
        raise DataFolderMalformed(
            f"{str(data)!r} is there and not empty", expected="an empty folder, or a path to make"
        )
    with telling_disk_failures(), _opened(file, ask_passphrase) as archive:
        members = iter(archive)
        table = _read_table(archive, members)
        make_private(data.absolute().parent)
        beside = data.with_name(f".{data.name}.restoring")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            with closing(DataFolder(beside)):  # which makes the folders that were empty, and marks it as ours
                _unpack(archive, members, table, beside)
                _check_database(beside / DATABASE, table)
                _settle_database(beside / DATABASE, table, clock(), _listed(revocations, beside))
            _sync_tree(beside)
            beside.rename(data)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        sync_folder(data.absolute().parent)
    return table


@contextmanager
def _opened(path: Path, ask_passphrase: Callable[[], str]) -> Iterator[tarfile.TarFile]:
    try:
        file = path.open("rb")
    except OSError as cause:
        raise UsageMalformed(f"The backup {str(path)!r} cannot be read: {cause.strerror}") from cause
    with file:
        try:
            with tarfile.open(fileobj=_unsealed(file, ask_passphrase), mode="r|") as archive:  # type: ignore[call-overload] # anything with a read method will do
                yield archive
        except (tarfile.TarError, EOFError) as cause:
            raise _damaged(f"it is no archive, or was cut off ({cause})") from cause


def _unsealed(file: BinaryIO, ask_passphrase: Callable[[], str]) -> BinaryIO | SealedReader:
    if file.read(len(MAGIC)) == MAGIC:
        return SealedReader(file, ask_passphrase())
    file.seek(0)
    return file


def _read_table(archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo]) -> Table:
    first = next(members, None)
    if first is None or first.name != TABLE or not first.isreg() or first.size > TABLE_LIMIT:
        raise _damaged("it does not begin with its table of contents")
    content = archive.extractfile(first)
    assert content is not None
    table = decode_table(content.read())
    migrate.check_known(table.schema)
    return table


def _unpack(archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo], table: Table, folder: Path) -> None:
    """Write exactly what the table names: whatever else an archive can say has no meaning here."""
    for entry in table.files:
        member = next(members, None)
        if member is None or member.name != entry.path or not member.isreg() or member.size != entry.bytes:
            raise _damaged(f"{entry.path!r} is not where its table of contents says")
        make_private((folder / entry.path).parent)
        _write(archive, member, entry, folder / entry.path)
    if next(members, None) is not None:
        raise _damaged("it holds more than its table of contents names")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, entry: Entry, path: Path) -> None:
    source, hasher = archive.extractfile(member), hashlib.sha256()
    assert source is not None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700 if is_program(entry.path) else 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := source.read(_CHUNK):
            hasher.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    _check_hash(hasher.hexdigest(), entry)


def _check_hash(digest: str, entry: Entry) -> None:
    if digest != entry.sha256:
        raise _damaged(f"{entry.path!r} does not have the hash that its table of contents names")


def _check_database(path: Path, table: Table) -> None:
    """Whether SQLite finds the database sound, and of the schema that the table names."""
    try:
        with closing(sqlite3.connect(path)) as database:
            [(found,)] = database.execute("PRAGMA quick_check(1)")
            [(schema,)] = database.execute("SELECT version_num FROM alembic_version")
    except (sqlite3.DatabaseError, ValueError) as cause:
        raise _damaged(f"its database cannot be read ({cause})") from cause
    if found != "ok" or schema != table.schema:
        raise _damaged(f"its database is not sound: {found}, schema {schema}")


def _settle_database(path: Path, table: Table, now: int, revoked: Collection[int]) -> None:
    """Bring the schema up to date, and end what must not be let in again."""
    with closing(Database(f"sqlite:///{path}")) as database:
        migrate.upgrade(database)
        with database.write() as session:
            change = Change(session, now, old_rights.RESTORE)
            old_rights.end(change, table.created)
            if revoked:
                old_rights.revoke(change, revoked)


def _listed(revocations: Path | None, folder: Path) -> Collection[int]:
    """Serial numbers of a surviving revocation list, which is kept beside the authority that signed it."""
    if revocations is None:
        return ()
    try:
        pem = revocations.read_bytes()
    except OSError as cause:
        raise UsageMalformed(f"The list {str(revocations)!r} cannot be read: {cause.strerror}") from cause
    listed = surviving.read(pem, (folder / "ca" / "authority.pem").read_bytes())
    write_durable(surviving.path(folder / "ca"), pem)
    return [number for number, _ in listed]


def _sync_tree(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            sync_folder(path)


def _damaged(seen: str) -> BackupRefused:
    return BackupRefused(f"The backup cannot be used: {seen}", expected="the file as it was written")
