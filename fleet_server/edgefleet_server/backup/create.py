"""Makes a backup of a data folder, while a server may be running in it."""

from __future__ import annotations

import io
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from edgefleet_contract import canonical
from edgefleet_contract.bundle import transfer_digest
from edgefleet_contract.errors import OutputUnwritable, ServerDiskFailed
from edgefleet_server.backup.contents import BLOBS, DATABASE, TABLE, VERSION, Entry, Table, files_of
from edgefleet_server.backup.sealing import SealedWriter
from edgefleet_server.clock import Clock
from edgefleet_server.data_folder import check_present, sync_folder, whole_file
from edgefleet_server.storage import telling_disk_failures


def create(
    data: Path, out: Path, clock: Clock, *, database: Path | None = None, passphrase: str | None = None
) -> Table:
    """Write a backup.

    The database is copied first, as one consistent state (SQLite's online backup), and the files that it names after
    it: files are added and never changed, so that all of that state are there.

    Args:
        data: The data folder.
        out: The file to write; it must not exist yet.
        clock: UTC milliseconds.
        database: Where the database lies, if not in ``data``.
        passphrase: Seals the backup, and lets the keys into it. Without one there are none in it.

    Raises:
        DataFolderMalformed: No server has run in ``data``.
        OutputUnwritable: ``out`` is there already, or cannot be written.
        ServerDiskFailed: A file that the database names is gone or damaged.
    """
    check_present(data)
    if out.exists():
        raise OutputUnwritable(f"{str(out)!r} exists already", expected="a file that is not there yet")
    with tempfile.TemporaryDirectory(dir=data, prefix=".backup-") as folder, telling_disk_failures():
        copy = Path(folder) / DATABASE
        schema, blobs = _copy_database(database or data / DATABASE, copy)
        kept = {name: (data / name).read_bytes() for name in files_of(data, secrets=passphrase is not None)}
        table = Table(
            v=VERSION,
            created=clock(),
            schema=schema,
            keys=passphrase is not None,
            files=[
                Entry(DATABASE, *transfer_digest(copy)),
                *(Entry(name, canonical.sha256(content), len(content)) for name, content in kept.items()),
                *(Entry(f"{BLOBS}/{sha256}", sha256, size) for sha256, size in blobs),
            ],
        )
        with _telling_unwritable(out), whole_file(out) as file, _sealed(file, passphrase) as stream:
            _write(stream, table, data, {DATABASE: copy}, kept)
    sync_folder(out.absolute().parent)
    return table


def _copy_database(source: Path, copy: Path) -> tuple[str, list[tuple[str, int]]]:
    """One state of the database; its schema's revision, and hash and size of the blobs that it names."""
    address = f"{source.absolute().as_uri()}?mode=rw"  # one that is not there is not made
    with closing(sqlite3.connect(address, uri=True)) as running, closing(sqlite3.connect(copy)) as own:
        running.backup(own)
        own.execute("PRAGMA journal_mode=DELETE")
        [(schema,)] = own.execute("SELECT version_num FROM alembic_version")
        return schema, list(own.execute("SELECT sha256, size FROM blobs ORDER BY sha256"))


@contextmanager
def _telling_unwritable(out: Path) -> Iterator[None]:
    """What cannot be made beside ``out`` is a wrong ``out``; all else is not."""
    try:
        yield
    except OSError as cause:
        if cause.filename is None or Path(cause.filename).parent != out.parent:
            raise
        raise OutputUnwritable(
            f"The backup {str(out)!r} cannot be written: {cause.strerror}", remedy="Name a folder that is there."
        ) from cause


@contextmanager
def _sealed(file: BinaryIO, passphrase: str | None) -> Iterator[BinaryIO | SealedWriter]:
    if passphrase is None:
        yield file
    else:
        writer = SealedWriter(file, passphrase)
        yield writer
        writer.finish()


def _write(
    stream: BinaryIO | SealedWriter, table: Table, data: Path, elsewhere: dict[str, Path], kept: dict[str, bytes]
) -> None:
    encoded = canonical.encode(table)
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload] # anything with a write method will do
        archive.addfile(_member(Entry(TABLE, "", len(encoded))), io.BytesIO(encoded))
        for entry in table.files:
            if entry.path in kept:
                archive.addfile(_member(entry), io.BytesIO(kept[entry.path]))
            else:
                _add_large(archive, entry, elsewhere.get(entry.path, data / entry.path))


def _add_large(archive: tarfile.TarFile, entry: Entry, path: Path) -> None:
    """A file that is too large to be held in memory, if it is still what its entry says."""
    try:
        is_whole = transfer_digest(path) == (entry.sha256, entry.bytes)
    except FileNotFoundError:
        is_whole = False
    if not is_whole:
        raise ServerDiskFailed(
            f"The stored file {str(path)!r} is gone or damaged, and a backup without it would not be whole",
            remedy="Push its release again; then make the backup.",
            sha256=entry.sha256,
        )
    with path.open("rb") as file:
        archive.addfile(_member(entry), file)


def _member(entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    member.size = entry.bytes
    member.mode = 0o600
    return member
