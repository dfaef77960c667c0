"""The device's memory of trust: the pins of enrolment, the floor, and which bundles it has confirmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_contract import canonical
from edgefleet_contract.errors import DataFolderMalformed
from edgefleet_contract.trust import Floor, Pins

_LIMIT = 256 * 1024  # bytes


class DurableTrustStore:
    """A ``trust.TrustStore`` in the data folder.

    Args:
        folder: Of an enrolled device.
        disk: The door.
        has_confirmed: Answers whether a bundle's digest has ever been confirmed; the state record knows.

    Raises:
        DataFolderMalformed: The pins or the floor cannot be read. A floor that is there and does not decode is never
            taken for none: that would let everything old back in.
    """

    def __init__(self, folder: DataFolder, disk: Disk, has_confirmed: Callable[[str], bool]) -> None:
        self._folder = folder
        self._disk = disk
        self._has_confirmed = has_confirmed
        self._pins = load_pins(folder)
        self._floor = load_floor(folder)

    @property
    def pins(self) -> Pins:
        """Who this device is, and whom it believes."""
        return self._pins

    def floor(self) -> Floor:
        """The floor as it stands."""
        return self._floor

    def raise_floor(self, floor: Floor) -> None:
        """Replace the floor, durably; nothing is written when it is the one that stands."""
        if floor != self._floor:
            self._disk.write(self._folder.floor, canonical.encode(floor))
            self._floor = floor

    def has_confirmed(self, digest: str) -> bool:
        """Whether this device has ever confirmed the bundle."""
        return self._has_confirmed(digest)


def pins_path(folder: DataFolder) -> Path:
    """Whom the device believes."""
    return folder.trust / "pins.json"


def save_pins(disk: Disk, folder: DataFolder, pins: Pins) -> None:
    """Pin whom the device believes, at enrolment."""
    disk.write(pins_path(folder), canonical.encode(pins))


def load_pins(folder: DataFolder) -> Pins:
    """The pins of enrolment.

    Raises:
        DataFolderMalformed: They cannot be read.
    """
    path = pins_path(folder)
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise DataFolderMalformed(f"The pins {str(path)!r} cannot be read: {cause.strerror}") from cause
    return canonical.decode(data, Pins, what="pins", limit=_LIMIT, error=DataFolderMalformed)


def load_floor(folder: DataFolder) -> Floor:
    """The floor; the lowest one if none was ever written.

    Raises:
        DataFolderMalformed: It is there and cannot be read.
    """
    try:
        data = folder.floor.read_bytes()
    except FileNotFoundError:
        return Floor()
    except OSError as cause:
        raise DataFolderMalformed(f"The floor {str(folder.floor)!r} cannot be read: {cause.strerror}") from cause
    return canonical.decode(data, Floor, what="floor", limit=_LIMIT, error=DataFolderMalformed)
