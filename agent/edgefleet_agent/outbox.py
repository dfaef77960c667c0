"""Sealed samples on the device until the server has them: files that nobody here can open."""

from __future__ import annotations

import threading
from pathlib import Path

from edgefleet_agent.disk import Disk
from edgefleet_contract.samples import SAMPLE_LIMIT


class Outbox:
    """A folder of sealed samples, the oldest first.

    Args:
        folder: Where they lie, as ``NUMBER.sealed``.
        disk: The door.
        max_bytes: The most they take together; the oldest make room.
    """

    def __init__(self, folder: Path, disk: Disk, max_bytes: int) -> None:
        self._folder = folder
        self._disk = disk
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # one thread makes samples, another sends them

    def add(self, sealed: bytes) -> bool:
        """Keep a sealed sample, if it is not larger than one may be; returns whether it was kept.

        Raises:
            DiskFailed: It cannot be written.
        """
        if len(sealed) > min(SAMPLE_LIMIT, self._max_bytes):
            return False
        with self._lock:
            self._disk.make_folder(self._folder)
            kept = self._files()
            total = sum(path.stat().st_size for path in kept)
            number = 1 + int(kept[-1].stem) if kept else 1
            while kept and total + len(sealed) > self._max_bytes:
                total -= kept[0].stat().st_size
                self._disk.remove(kept.pop(0))
            self._disk.write(self._folder / f"{number:09d}.sealed", sealed)
        return True

    def oldest(self) -> Path | None:
        """The sample to send next; None when all are gone."""
        return next(iter(self._files()), None)

    def remove(self, path: Path) -> None:
        """Forget a sample.

        Raises:
            DiskFailed: It cannot be removed.
        """
        with self._lock:
            self._disk.remove(path)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.sealed"))
