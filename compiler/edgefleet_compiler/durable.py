"""Files that outlive a power cut: written beside their place, forced to disk and renamed, so whole or not there.

What goes wrong is told with its path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefleet_contract.errors import OutputUnwritable


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell what the disk refuses in the block as a fault of ``path``.

    Raises:
        OutputUnwritable: It did.
    """
    try:
        yield
    except OSError as cause:
        raise OutputUnwritable(f"{str(path)!r} cannot be written: {cause.strerror}", path=str(path)) from cause


def fresh_of(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.fresh")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole, in the place of one of that name."""
    fresh = fresh_of(path)
    write_file(fresh, content)
    fresh.replace(path)
    sync_folder(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whose folder is synced or renamed later."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
