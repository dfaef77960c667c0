"""The device's memory of trust: the pins of enrolment, the floor, the proof accepted last, and what was confirmed.

The floor is enough to refuse everything old. The proof beside it is a second witness, for the day on which the floor's
file is lost, and it names the keys whose word the device obeys now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.record import Record
from edgefleet_contract import canonical, keys
from edgefleet_contract.errors import DataFolderMalformed, VerificationError
from edgefleet_contract.trust import NO_FLOOR, Floor, Mark, Pins, decode_proof
from edgefleet_contract.trust.floors import highest, raised
from edgefleet_contract.trust.proofs import newest_root
from edgefleet_contract.trust.repository import RootView, read_root

log = logging.getLogger(__name__)

_LIMIT = 256 * 1024  # bytes
_REMEDY = "Check the device's storage; a folder of an older edgefleet, or one that is lost, is enrolled again, anew."

Kept = TypeVar("Kept", Pins, Floor)


class DurableTrustStore:
    """A ``trust.TrustStore`` in the data folder.

    Args:
        folder: Of an enrolled device.
        disk: The door.
        record: Gives the state record, which knows what was acted on and confirmed.

    Raises:
        DataFolderMalformed: The pins or the floor cannot be read. A floor that is there and does not decode is never
            taken for none: that would let everything old back in.
    """

    def __init__(self, folder: DataFolder, disk: Disk, record: Callable[[], Record]) -> None:
        self._folder = folder
        self._disk = disk
        self._record = record
        self._pins = load_pins(folder)
        self._floor = load_floor(folder)
        self._note_proof(self.proof())

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

    def proof(self) -> bytes | None:
        """The proof accepted last; read anew, so that it does not stay in memory. None if it is not there."""
        try:
            return metadata_path(self._folder).read_bytes()
        except OSError:
            return None  # the floor alone refuses as much

    def keep_proof(self, proof: bytes) -> None:
        """Replace the proof accepted last, durably; nothing is written when it is the same."""
        if not self.is_kept(proof):
            self._disk.write(metadata_path(self._folder), proof)
            self._note_proof(proof)

    def is_kept(self, proof: bytes) -> bool:
        """Whether this very proof is the one accepted last."""
        return canonical.sha256(proof) == self._proof_sha256

    def assignment_keys(self) -> Mapping[str, keys.PublicKey]:
        """The keys that speak for the server, by key id: those of the newest root followed.

        No key where the metadata are lost and the floor knows a newer root than the pinned one, until a proof comes.
        """
        return self._root.assignment.keys if self._root.version >= self._floor.root else {}

    def time_floor(self) -> int:
        """UTC milliseconds that have passed for sure, by what the server has signed."""
        return highest(self._floor, "time")

    def accounted_time(self) -> int:
        """UTC milliseconds of that which somebody else than the server bears witness to."""
        return highest(self._floor, "accounted")

    def raise_time_floor(self, told_ms: int, accounted_ms: int) -> None:
        """The clock has adopted ``told_ms``. Both floors fall with the assignment keys."""
        keyset = self._root.assignment.keyset
        self.raise_floor(raised(raised(self._floor, "time", keyset, told_ms), "accounted", keyset, accounted_ms))

    def time_keys(self) -> str:
        """Names the assignment keys of now."""
        return self._root.assignment.keyset.name

    def offline_time(self) -> int:
        """UTC milliseconds at which the newest release confirmed here was signed, on an operator's machine."""
        issued = (value for key, value in self._floor.values.items() if key.startswith("issued/"))
        return max(issued, default=0)

    def has_confirmed(self, digest: str) -> bool:
        """Whether this device has ever confirmed the bundle."""
        return digest in self._record().confirmed

    def acted_on(self) -> Mark:
        """Of the assignment acted on last."""
        return self._record().mark

    def _note_proof(self, proof: bytes | None) -> None:
        self._proof_sha256 = canonical.sha256(proof or b"")
        self._root = _newest_root(self._pins, proof)


def _newest_root(pins: Pins, proof: bytes | None) -> RootView:
    if proof is not None:
        try:
            return read_root(newest_root(pins.root, decode_proof(proof)))
        except VerificationError:
            log.warning("the metadata kept do not decode, and count as lost")
    return read_root(pins.root)


def pins_path(folder: DataFolder) -> Path:
    """Whom the device believes."""
    return folder.trust / "pins.json"


def metadata_path(folder: DataFolder) -> Path:
    """The proof accepted last, with all its metadata."""
    return folder.trust / "metadata.json"


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
    return _decoded(path, data, Pins, "pins")


def load_floor(folder: DataFolder) -> Floor:
    """The floor; the lowest one if none was ever written.

    Raises:
        DataFolderMalformed: It is there and cannot be read.
    """
    try:
        data = folder.floor.read_bytes()
    except FileNotFoundError:
        return NO_FLOOR
    except OSError as cause:
        raise DataFolderMalformed(f"The floor {str(folder.floor)!r} cannot be read: {cause.strerror}") from cause
    floor = _decoded(folder.floor, data, Floor, "floor")
    if not {key.rpartition(":")[2] for key in floor.values} <= floor.keysets.keys():
        raise DataFolderMalformed(f"The floor {str(folder.floor)!r} names keys that it does not hold", remedy=_REMEDY)
    return floor


def _decoded(path: Path, data: bytes, kind: type[Kept], what: str) -> Kept:
    try:
        return canonical.decode(data, kind, what=what, limit=_LIMIT, error=DataFolderMalformed)
    except DataFolderMalformed as cause:
        raise DataFolderMalformed(
            f"The {what} {str(path)!r} cannot be read: {cause.seen}", expected=cause.expected, remedy=_REMEDY
        ) from cause
