"""Asserts that an attack has left no trace in what devices and servers keep."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edgefleet_contract.canonical import sha256

# What grows or moves without anybody's doing: records of what was said, not what will be done.
_AGENT_LOGS = ("spool", "samples", "outbox", "lock", "log")
_SERVER_FILES = ("ca", "keys", "blobs", "admin.token")
_SERVER_LOGS = frozenset({"audit_log", "telemetry_records", "sketch_hours", "drift_verdicts", "device_boots"})
_MOVING_COLUMNS = frozenset({"last_seen", "reported_at", "seen_at", "n", "boot"})

State = dict[str, str]


@contextmanager
def unchanged(*folders: Path, apart_from: tuple[str, ...] = ()) -> Iterator[None]:
    """Assert that what lies in data folders of agents and servers is the same afterwards.

    Args:
        folders: Data folders; those with an ``edgefleet.db`` are a server's.
        apart_from: Names of files (or beginnings of their paths) and tables that may change.
    """
    before = [durable_state(folder) for folder in folders]
    yield
    for folder, kept in zip(folders, before, strict=True):
        now = durable_state(folder)
        changed = sorted(name for name in kept.keys() | now.keys() if kept.get(name) != now.get(name))
        changed = [name for name in changed if not name.startswith(apart_from or "\0")]
        assert changed == [], f"{folder} has changed"


def durable_state(folder: Path) -> State:
    """What a data folder keeps, each part with a digest of its contents."""
    return _server_state(folder) if (folder / "edgefleet.db").exists() else _agent_state(folder)


def _agent_state(folder: Path) -> State:
    """Identity, pins, metadata, floor, record, slots and downloads."""
    return {
        name: digest
        for name, digest in _files(folder).items()
        if not name.startswith(_AGENT_LOGS) and not name.endswith((".lock", ".sock"))
    }


def _server_state(folder: Path) -> State:
    """Keys, files and every table that says what is to be done."""
    files = {name: digest for name, digest in _files(folder).items() if name.startswith(_SERVER_FILES)}
    return files | _tables(folder / "edgefleet.db")


def _files(folder: Path) -> State:
    return {str(path.relative_to(folder)): sha256(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def _tables(path: Path) -> State:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: _rows(database, name) for name in names if name not in _SERVER_LOGS}


def _rows(database: sqlite3.Connection, table: str) -> str:
    columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")') if row[1] not in _MOVING_COLUMNS]
    named = ", ".join(f'"{column}"' for column in columns)
    rows = sorted(repr(row) for row in database.execute(f'SELECT {named} FROM "{table}"'))
    return sha256("\n".join(rows).encode())
