"""Everything the state machine knows, and the one file that holds it, replaced at every transition."""

from __future__ import annotations

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import SLOTS, DataFolder, SlotName
from edgefleet_contract import canonical
from edgefleet_contract.errors import DataFolderMalformed, MessageMalformed
from edgefleet_contract.messages import DeviceState, ErrorReport, Evidence
from edgefleet_contract.trust import Accepted, KeySet, Mark

VERSION = 1
_LIMIT = 4 * 1024 * 1024  # bytes


class Record(msgspec.Struct, frozen=True):
    """Where a device and its deployment stand.

    Attributes:
        sequence: Of the assignment that ``state`` speaks of; 0 before the first.
        assigners: The key set that signed that assignment; None before the first.
        accepted: That assignment with its release; None before the first, or when it was refused.
        slots: Digest of the whole, verified bundle in each slot that holds one.
        running: The slot that serves inference.
        trial: The slot on trial.
        trials: How often this trial has started.
        confirmed: Digests ever confirmed, the newest first.
        error: Why the last deployment did not end well, or what was amiss though it did; else ``lost``.
        lost: Why a confirmed model was lost to storage; told until another bundle is confirmed.
        evidence: The newest of each phase.
        probation_over: Whether probation has run to its end.
    """

    v: int = VERSION
    state: DeviceState = "idle"
    sequence: int = 0
    assigners: KeySet | None = None
    accepted: Accepted | None = None
    slots: dict[SlotName, str] = {}
    running: SlotName | None = None
    trial: SlotName | None = None
    trials: int = 0
    confirmed: list[str] = []
    error: ErrorReport | None = None
    lost: ErrorReport | None = None
    evidence: list[Evidence] = []
    probation_over: bool = False

    @property
    def mark(self) -> Mark:
        """How far assignments have come."""
        return Mark(self.sequence, self.assigners)

    @property
    def running_digest(self) -> str | None:
        """Digest of the bundle that serves inference."""
        return None if self.running is None else self.slots[self.running]

    @property
    def spare(self) -> SlotName:
        """The slot that may be overwritten: the one that does not serve."""
        return SLOTS[1] if self.running == SLOTS[0] else SLOTS[0]

    @property
    def assigned_digest(self) -> str | None:
        """Digest of the assigned bundle."""
        return self.accepted.assignment.digest if self.accepted else None


def load_record(folder: DataFolder) -> Record:
    """The state as it was left; a fresh one when there is none.

    Raises:
        DataFolderMalformed: It cannot be read.
    """
    try:
        data = folder.record.read_bytes()
    except FileNotFoundError:
        return Record()
    except OSError as cause:
        raise DataFolderMalformed(f"The state {str(folder.record)!r} cannot be read: {cause.strerror}") from cause
    try:
        record = canonical.decode(data, Record, what="state", limit=_LIMIT)
    except MessageMalformed as cause:
        raise DataFolderMalformed(
            f"The state {str(folder.record)!r} cannot be read: {cause.seen}",
            expected=cause.expected,
            remedy="Check the device's storage; without this file the agent starts idle, and waits for a rollout.",
            path=str(folder.record),
        ) from cause
    if record.v != VERSION:
        raise DataFolderMalformed(
            f"The state has version {record.v}", expected=str(VERSION), remedy="Update the agent."
        )
    return record


def save_record(disk: Disk, folder: DataFolder, record: Record) -> None:
    """Make ``record`` the state.

    Raises:
        DiskFailed: It is not durable.
    """
    disk.write(folder.record, canonical.encode(record))
