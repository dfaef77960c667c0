"""Files on their way: blocks written as they come, with a durable map of those that are here.

A file ``SHA256.part`` holds the blocks, ``SHA256.map`` says which of them count. A block counts once its bytes are
synced and its entry is in the map, so that a power cut costs at most the blocks of the last batch. When all are here
and the whole hashes to its name, the part is renamed to ``SHA256``, and only that name is ever used.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

from edgefleet_agent.disk import Disk
from edgefleet_contract import blocks
from edgefleet_contract.blocks import Block
from edgefleet_contract.errors import HashMismatch
from edgefleet_contract.trust import FileReference

_ENTRY = struct.Struct(">II")  # index of a block, CRC-32 of the index: a torn or stale tail does not count
_BATCH = blocks.WINDOW // 2  # blocks that share a sync


class Downloads:
    """The folder of files on their way.

    Args:
        folder: Where they lie.
        disk: The door.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def finished(self, reference: FileReference) -> Path | None:
        """The whole file, if it is here."""
        path = self._folder / reference.sha256
        return path if path.is_file() else None

    def begin(self, reference: FileReference) -> Download:
        """Begin, or go on where a power cut ended.

        Raises:
            DiskFailed: The folder cannot be made.
        """
        if not self._folder.is_dir():
            self._disk.make_folder(self._folder)
        return Download(self._folder, self._disk, reference)

    def keep_only(self, references: list[FileReference]) -> None:
        """Remove whatever belongs to other files, and what a power cut left beside finished ones.

        Raises:
            DiskFailed: Something cannot be removed.
        """
        kept: set[str] = set()
        for reference in references:
            name = reference.sha256
            kept |= {name} if self.finished(reference) else {f"{name}.part", f"{name}.map"}
        for path in sorted(self._folder.glob("*")):
            if path.name not in kept:
                self._disk.remove(path)


class Download:
    """One file on its way.

    Args:
        folder: Where it lies.
        disk: The door.
        reference: Its hash and size.
    """

    def __init__(self, folder: Path, disk: Disk, reference: FileReference) -> None:
        self.reference = reference
        self._disk = disk
        self._target = folder / reference.sha256
        self._part = folder / f"{reference.sha256}.part"
        self._map = folder / f"{reference.sha256}.map"
        self._count = blocks.block_count(reference.bytes)
        self._here = self._read_map()
        self._batch: dict[int, bytes] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every block is here."""
        return len(self._here) + len(self._batch) == self._count

    def missing(self, limit: int) -> list[int]:
        """The first ``limit`` blocks that are not here."""
        found: list[int] = []
        for index in range(self._count):
            if len(found) == limit:
                break
            if index not in self._here and index not in self._batch:
                found.append(index)
        return found

    def take(self, block: Block) -> bool:
        """Take a block; a batch of them is made durable at once.

        Returns:
            Whether it was one that was missing; blocks of other files, duplicates and late ones change nothing.

        Raises:
            DiskFailed: The batch cannot be written.
        """
        foreign = block.sha256 != self.reference.sha256 or block.total_bytes != self.reference.bytes
        if foreign or block.index in self._here or block.index in self._batch:
            return False
        self._batch[block.index] = block.data
        if len(self._batch) >= _BATCH or self.is_complete:
            self.flush()
        return True

    def flush(self) -> None:
        """Make the blocks taken so far durable: first their bytes, then their entries in the map.

        Raises:
            DiskFailed: They cannot be written.
        """
        if not self._batch:
            return
        pieces = [(index * blocks.BLOCK_BYTES, data) for index, data in sorted(self._batch.items())]
        self._disk.write_blocks(self._part, pieces)
        self._disk.append(self._map, b"".join(_entry(index) for index in sorted(self._batch)))
        self._here.update(self._batch)
        self._batch.clear()

    def finish(self) -> Path:
        """The whole file, once :attr:`is_complete`.

        Raises:
            HashMismatch: The blocks make another file; all of them are forgotten.
            DiskFailed: It cannot be renamed.
        """
        self.flush()
        if not self._count:
            self._disk.write_new(self._part, [])
        with self._part.open("rb") as file:
            seen = hashlib.file_digest(file, "sha256").hexdigest()
        if seen != self.reference.sha256:
            self._disk.remove(self._map)
            self._here.clear()
            raise HashMismatch(
                f"The blocks that came make a file with the hash {seen!r}", expected=repr(self.reference.sha256)
            )
        self._disk.rename(self._part, self._target)
        self._disk.remove(self._map)
        return self._target

    def _read_map(self) -> set[int]:
        """The blocks that count; what a power cut left of a torn entry is cut off, so that the next one is readable."""
        if not self._map.is_file() or not self._part.is_file():
            return set()
        data = self._map.read_bytes()
        here: set[int] = set()
        whole = 0
        while whole + _ENTRY.size <= len(data):
            index, check = _ENTRY.unpack_from(data, whole)
            if check != _check(index) or index >= self._count:
                break
            here.add(index)
            whole += _ENTRY.size
        if whole != len(data):
            self._disk.truncate(self._map, whole)
        return here


def _entry(index: int) -> bytes:
    return _ENTRY.pack(index, _check(index))


def _check(index: int) -> int:
    return zlib.crc32(index.to_bytes(4, "big"))
