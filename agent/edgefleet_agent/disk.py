"""The only door to the disk: every durable change of the data folder is one call of :class:`Disk`.

A call has happened, power cut or not, when it returns; before that, ``write``, ``rename`` and ``remove`` have happened
wholly or not at all, and ``append``, ``write_blocks`` and ``write_new`` may have left any part of their bytes behind,
so that whoever reads what they wrote checks it. Reading needs no door.

Source of the order write, fsync, rename, fsync of the folder: Pillai et al., "All File Systems Are Not Created Equal"
(OSDI 2014), sections 2 and 4.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefleet_contract.errors import DiskFailed

_TEMPORARY = ".tmp"
_OWNER_ONLY = 0o600


class Disk:
    """Durable operations.

    Raises:
        DiskFailed: From every method: the disk is full, read-only or broken.
    """

    def write(self, path: Path, data: bytes) -> None:
        """Replace the file ``path`` by ``data``; readable by the owner alone."""
        temporary = path.with_name(path.name + _TEMPORARY)
        with explained(path):
            self._write_synced(temporary, [data])
            temporary.replace(path)
            _sync_folder(path.parent)

    def append(self, path: Path, data: bytes) -> None:
        """Add ``data`` to the end of ``path``, which is made if it is not there."""
        with explained(path):
            is_new = not path.exists()
            with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as file:
                _write_all(file, data)
                os.fsync(file)
            if is_new:
                _sync_folder(path.parent)

    def truncate(self, path: Path, size: int) -> None:
        """Cut ``path`` to its first ``size`` bytes."""
        with explained(path), _opened(path, os.O_WRONLY) as file:
            os.ftruncate(file, size)
            os.fsync(file)

    def write_blocks(self, path: Path, blocks: Iterable[tuple[int, bytes]]) -> None:
        """Write pieces of ``path``, each at its offset, and sync once; the file is made if it is not there."""
        with explained(path):
            is_new = not path.exists()
            with _opened(path, os.O_WRONLY | os.O_CREAT) as file:
                for offset, data in blocks:
                    os.lseek(file, offset, os.SEEK_SET)
                    _write_all(file, data)
                os.fsync(file)
            if is_new:
                _sync_folder(path.parent)

    def write_new(self, path: Path, chunks: Iterable[bytes]) -> None:
        """Write a file that nobody reads until something else, written later, says that it is whole."""
        with explained(path):
            self._write_synced(path, chunks)
            _sync_folder(path.parent)

    def rename(self, source: Path, target: Path) -> None:
        """Move ``source`` to ``target`` of the same folder, which it replaces."""
        with explained(target):
            source.replace(target)
            _sync_folder(target.parent)

    def make_folder(self, path: Path) -> None:
        """Make the folder ``path`` and those above it, for the owner alone; it may be there already."""
        with explained(path):
            missing = [folder for folder in (path, *path.parents) if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir(mode=0o700, exist_ok=True)
                _sync_folder(folder.parent)

    def remove(self, path: Path) -> None:
        """Remove the file or the whole folder ``path``, which need not be there.

        A folder loses its name first, so that what is left of it after a power cut is rubbish under another name.
        """
        with explained(path):
            if path.is_dir():
                rubbish = path.with_name(path.name + _TEMPORARY)
                shutil.rmtree(rubbish, ignore_errors=True)
                path.replace(rubbish)
                _sync_folder(path.parent)
                shutil.rmtree(rubbish)
            elif path.exists():
                path.unlink()
                _sync_folder(path.parent)

    def _write_synced(self, path: Path, chunks: Iterable[bytes]) -> None:
        with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            for chunk in chunks:
                _write_all(file, chunk)
            os.fsync(file)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        yield file
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(path: Path) -> None:
    with _opened(path, os.O_RDONLY | os.O_DIRECTORY) as folder:
        os.fsync(folder)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing ``path`` into :class:`DiskFailed`."""
    try:
        yield
    except OSError as cause:
        raise DiskFailed(
            f"{str(path)!r} cannot be written: {cause.strerror}",
            remedy="Check that the disk has room, is mounted for writing and belongs to the agent's user.",
            path=str(path),
            errno=cause.errno,
        ) from cause
