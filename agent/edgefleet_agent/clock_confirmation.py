"""The operator's word, on the device itself, that a time far ahead is right: one file, written by a command."""

from __future__ import annotations

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_contract import canonical


class _Confirmed(msgspec.Struct, frozen=True):
    ms: int


class ClockConfirmation:
    """A ``clock.Confirmation`` in the data folder. Whoever can write there could change the agent itself.

    Args:
        folder: Of an enrolled device.
        disk: The door.
    """

    def __init__(self, folder: DataFolder, disk: Disk) -> None:
        self._path = folder.root / "clock-confirmed.json"
        self._disk = disk

    def write(self, ms: int) -> None:
        """Times up to five days after ``ms``, UTC milliseconds, are right.

        Raises:
            DiskFailed: It cannot be written.
        """
        self._disk.write(self._path, canonical.encode(_Confirmed(ms)))

    def read(self) -> int | None:
        """UTC milliseconds; None if nothing is confirmed, or the file does not say it."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Confirmed).ms
        except (OSError, msgspec.DecodeError):
            return None

    def forget(self) -> None:
        """Remove it.

        Raises:
            DiskFailed: It cannot be removed.
        """
        self._disk.remove(self._path)
