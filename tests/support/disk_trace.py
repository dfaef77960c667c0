"""What a power cut may leave of a folder: records every write, sync and name change, and rebuilds each legal remainder.

POSIX promises the bytes of a file only after its fsync, and a name (made, moved or removed) only after the fsync of
its folder; what came later may be there, be missing, or be there in part. See Pillai et al., "All File Systems Are
Not Created Equal" (OSDI 2014), section 2.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias
from unittest import mock

Kept: TypeAlias = Literal["none", "half", "all"]  # of the bytes that were not synced
Tree: TypeAlias = dict[str, bytes | None]  # files with their bytes, folders with None; relative paths


@dataclass
class _File:
    synced: bytes = b""
    now: bytes = b""


@dataclass
class _Folder:
    """Names of one folder: those that a sync has fixed, and those that hold now."""

    synced: dict[str, _File | str] = field(default_factory=dict)  # a folder is its own path
    now: dict[str, _File | str] = field(default_factory=dict)


@dataclass
class Trace:
    """The state of a traced folder, and the distinct remainders that power cuts may leave, as they come up.

    Attributes:
        remainders: Each with the marks that had been set before it.
        marks: Set by the test, for what the world was told by then.
    """

    root: Path
    remainders: dict[tuple[tuple[str, bytes | None], ...], tuple[str, ...]] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    _folders: dict[str, _Folder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder, names, files in os.walk(self.root):
            here: dict[str, _File | str] = {name: self._key(Path(folder) / name) for name in names}
            for name in files:
                data = (Path(folder) / name).read_bytes()
                here[name] = _File(data, data)
            self._folders[self._key(Path(folder))] = _Folder(dict(here), dict(here))

    def mark(self, text: str) -> None:
        """From here on, the world knows this."""
        self.marks.append(text)

    def trees(self) -> Iterator[tuple[Tree, tuple[str, ...]]]:
        """Every distinct remainder, with the marks set before it came up for the last time."""
        for tree, marks in self.remainders.items():
            yield dict(tree), marks

    # --- what happens ------------------------------------------------------------------------------------------------

    def created(self, path: Path, *, truncated: bool) -> _File:
        names = self._folders[self._key(path.parent)].now
        file = names.get(path.name)
        if not isinstance(file, _File):
            file = names[path.name] = _File()
        if truncated:
            file.now = b""
        self._collect()
        return file

    def written(self, file: _File, offset: int, data: bytes) -> None:
        padded = file.now.ljust(offset, b"\0")
        file.now = padded[:offset] + data + padded[offset + len(data) :]
        self._collect()

    def truncated(self, file: _File, size: int) -> None:
        file.now = file.now[:size]
        self._collect()

    def synced(self, file: _File) -> None:
        file.synced = file.now
        self._collect()

    def folder_synced(self, path: Path) -> None:
        folder = self._folders[self._key(path)]
        folder.synced = dict(folder.now)
        self._collect()

    def renamed(self, source: Path, target: Path) -> None:
        moved = self._folders[self._key(source.parent)].now.pop(source.name)
        if isinstance(moved, str):
            self._move_folder(moved, self._key(target))
            moved = self._key(target)
        self._folders[self._key(target.parent)].now[target.name] = moved
        self._collect()

    def made(self, path: Path) -> None:
        self._folders[self._key(path.parent)].now[path.name] = self._key(path)
        self._folders.setdefault(self._key(path), _Folder()).now.clear()
        self._collect()

    def removed(self, path: Path) -> None:
        self._folders[self._key(path.parent)].now.pop(path.name, None)
        self._collect()

    # --- what may be left --------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        choices: tuple[Kept, ...] = ("none", "half", "all")
        for names_kept, bytes_kept in product((False, True), choices):
            tree: Tree = {}
            self._rebuild(".", tree, names_kept=names_kept, bytes_kept=bytes_kept)
            self.remainders[tuple(sorted(tree.items()))] = tuple(self.marks)

    def _rebuild(self, key: str, tree: Tree, *, names_kept: bool, bytes_kept: Kept) -> None:
        folder = self._folders[key]
        for name, entry in (folder.now if names_kept else folder.synced).items():
            path = name if key == "." else f"{key}/{name}"
            if isinstance(entry, _File):
                tree[path] = _remainder(entry, bytes_kept)
            else:
                tree[path] = None
                if entry in self._folders:
                    self._rebuild_below(entry, path, tree, names_kept=names_kept, bytes_kept=bytes_kept)

    def _rebuild_below(self, key: str, path: str, tree: Tree, *, names_kept: bool, bytes_kept: Kept) -> None:
        below: Tree = {}
        self._rebuild(key, below, names_kept=names_kept, bytes_kept=bytes_kept)
        for name, content in below.items():
            tree[path + name.removeprefix(key)] = content

    def _move_folder(self, source: str, target: str) -> None:
        """The folder's contents under both names: which one holds after a cut, the parents' names decide."""
        for key in [key for key in self._folders if key == source or key.startswith(source + "/")]:
            self._folders[target + key.removeprefix(source)] = self._folders[key]

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _remainder(file: _File, kept: Kept) -> bytes:
    if kept == "none":
        return file.synced
    if kept == "all":
        return file.now
    if len(file.now) > len(file.synced):
        return file.now[: (len(file.now) + len(file.synced)) // 2]
    middle = len(file.now) // 2
    return file.now[:middle] + file.synced[middle:]


class _Tap:
    """Stands in for functions of ``os`` and ``shutil``: calls them, and tells the trace what happened."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._files: dict[int, tuple[_File, bool]] = {}  # by descriptor: the file, and whether writes append
        self._folders: dict[int, Path] = {}
        self._os = {name: getattr(os, name) for name in _TAPPED}
        self._rmtree = shutil.rmtree

    def open(self, path: Any, flags: int, *rest: Any, **options: Any) -> int:
        descriptor = int(self._os["open"](path, flags, *rest, **options))
        if self._is_ours(path) and flags & os.O_DIRECTORY:
            self._folders[descriptor] = path
        elif self._is_ours(path) and flags & (os.O_WRONLY | os.O_RDWR):
            file = self._trace.created(path, truncated=bool(flags & os.O_TRUNC))
            self._files[descriptor] = (file, bool(flags & os.O_APPEND))
        return descriptor

    def close(self, descriptor: int) -> None:
        self._files.pop(descriptor, None)
        self._folders.pop(descriptor, None)
        self._os["close"](descriptor)

    def write(self, descriptor: int, data: Any) -> int:
        if descriptor not in self._files:
            return int(self._os["write"](descriptor, data))
        file, appends = self._files[descriptor]
        offset = len(file.now) if appends else os.lseek(descriptor, 0, os.SEEK_CUR)
        count = int(self._os["write"](descriptor, data))
        self._trace.written(file, offset, bytes(data[:count]))
        return count

    def fsync(self, descriptor: int) -> None:
        self._os["fsync"](descriptor)
        if descriptor in self._files:
            self._trace.synced(self._files[descriptor][0])
        elif descriptor in self._folders:
            self._trace.folder_synced(self._folders[descriptor])

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._os["ftruncate"](descriptor, size)
        if descriptor in self._files:
            self._trace.truncated(self._files[descriptor][0], size)

    def replace(self, source: Any, target: Any) -> None:
        self._os["replace"](source, target)
        if self._is_ours(source):
            self._trace.renamed(source, target)

    def mkdir(self, path: Any, *rest: Any, **options: Any) -> None:
        self._os["mkdir"](path, *rest, **options)
        if self._is_ours(path):
            self._trace.made(path)

    def unlink(self, path: Any, *rest: Any, **options: Any) -> None:
        self._os["unlink"](path, *rest, **options)
        if self._is_ours(path):
            self._trace.removed(path)

    def rmtree(self, path: Any, *rest: Any, **options: Any) -> None:
        self._rmtree(path, *rest, **options)
        if self._is_ours(path):
            self._trace.removed(path)

    def _is_ours(self, path: Any) -> bool:
        return isinstance(path, Path) and path.is_relative_to(self._trace.root)


_TAPPED = ("open", "close", "write", "fsync", "ftruncate", "replace", "mkdir", "unlink")


@contextmanager
def traced(root: Path) -> Iterator[Trace]:
    """Record everything that this process does to files below ``root``."""
    trace = Trace(root)
    tap = _Tap(trace)
    functions = {name: getattr(tap, name) for name in _TAPPED}
    with mock.patch.multiple(os, **functions), mock.patch.object(shutil, "rmtree", tap.rmtree):
        yield trace


def lay_out(tree: Tree, folder: Path) -> None:
    """Write a remainder to an empty folder."""
    folder.mkdir(parents=True)
    for path, content in tree.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(content)
