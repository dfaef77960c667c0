"""What a backup holds: its table of contents, and which files of a data folder are secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.errors import BackupRefused

VERSION = 1
TABLE = "backup.json"
TABLE_LIMIT = 64 * 1024 * 1024  # bytes: some 400,000 files
DATABASE = "edgefleet.db"
BLOBS = "blobs/sha256"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,7}")
# Made anew at each start, or only of use to the process that runs.
_LEFT_OUT = re.compile(rf"{DATABASE}(-.*)?|lock|broker/.*|{BLOBS}/.*|.*\.sock")
# What may lie about in the clear. Everything else is taken for a secret, so that a file which some later version adds
# does not leak because nobody thought of it here.
_PUBLIC = re.compile(r"ca/[^/]+\.(pem|crl)|addresses\.json")


class Entry(msgspec.Struct, frozen=True):
    """A file of the backup: its path in the data folder, and its contents' hash and size."""

    path: str
    sha256: str
    bytes: int


class Table(msgspec.Struct, frozen=True):
    """The table of contents, the first thing in a backup.

    Attributes:
        created: UTC milliseconds.
        schema: Revision of the database.
        keys: Whether the secrets are in it: certificate authority, online keys, admin token.
        files: In the order in which they follow.
    """

    v: int
    created: int
    schema: str
    keys: bool
    files: list[Entry]


def is_program(name: str) -> bool:
    """Whether the file called ``name`` is one that the server executes: a hook of the operator."""
    return name.startswith("hooks/")


def decode_table(data: bytes) -> Table:
    """Parse a table of contents.

    Raises:
        BackupRefused: It is none, of another version, or names what no backup holds.
    """
    table = canonical.decode(data, Table, what="table of a backup", limit=TABLE_LIMIT, error=BackupRefused)
    if table.v != VERSION:
        raise BackupRefused(f"The backup has version {table.v}", expected=str(VERSION), remedy="Update edgefleet.")
    paths = [entry.path for entry in table.files]
    strange = [path for path in paths if _NAME.fullmatch(path) is None]
    if strange or len(set(paths)) != len(paths) or DATABASE not in paths:
        raise BackupRefused(
            f"The table of the backup is not one of ours: {strange[0]!r}"
            if strange
            else "The table contradicts itself",
            expected=f"{DATABASE} and files of a data folder, each once",
        )
    return table


def files_of(data: Path, *, secrets: bool) -> Iterator[str]:
    """Paths in a data folder that a backup holds beside the database and the blobs that it names, in order.

    Args:
        data: The folder.
        secrets: Whether secret ones are among them.
    """
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        # A name that begins with a dot is one under which something is just being written.
        kept = _NAME.fullmatch(name) and not _LEFT_OUT.fullmatch(name) and (secrets or _PUBLIC.fullmatch(name))
        if kept and path.is_file() and not path.is_symlink():
            yield name
