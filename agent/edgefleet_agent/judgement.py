"""What trust says: of a desired twin that comes, and of a slot that is to serve."""

from __future__ import annotations

from edgefleet_agent import events, verify
from edgefleet_agent.clock import TrustedClock
from edgefleet_agent.events import Event
from edgefleet_agent.folder import SlotName
from edgefleet_agent.parts import Parts
from edgefleet_agent.record import Record
from edgefleet_contract import canonical, dsse, messages, trust
from edgefleet_contract.errors import (
    AssignmentExpired,
    DataFolderMalformed,
    EdgefleetError,
    IssuedAhead,
    MetadataExpired,
    PermitRefused,
    SecurityFloorViolated,
    StatementMalformed,
)
from edgefleet_contract.messages import ErrorReport
from edgefleet_contract.trust import Floor


def judge_desired(parts: Parts, record: Record, assignment: bytes, proof: bytes) -> Event | None:
    """What an assignment means for the device; of none, or of one that is known, only newer metadata are taken.

    Args:
        parts: Clock and store; what is accepted is durable in the store when this returns.
        record: The state as it is.
        assignment: As in ``messages.Desired``.
        proof: As there.

    Returns:
        The event that it is; None where there is no news.

    Raises:
        VerificationError: It is not the server's, not for this device, or an old one, or it seems to be out of date
            while this device does not know the time; nothing has changed.
        DiskFailed: The floor cannot be raised; nothing has changed.
    """
    time, store = parts.clock.known(), parts.store
    if assignment == messages.NOTHING_ASSIGNED or _is_known(assignment, store.floor(), record):
        if not store.is_kept(proof):  # metadata were renewed, or a root replaces keys
            verify.refresh(proof, time, store, confirmed=record.confirmed)
        return None
    try:
        accepted = verify.accept(assignment, proof, time, store, confirmed=record.confirmed)
    except verify.AssignmentRefused as refusal:
        if refusal.mark is None or may_be_the_clocks(refusal.error, parts.clock):
            raise refusal.error from refusal
        return events.Refused(refusal.mark, told(refusal.error))
    return events.Withdrawn(accepted) if accepted.bundle is None else events.Assigned(accepted)


def may_be_the_clocks(error: EdgefleetError, clock: TrustedClock) -> bool:
    """Whether an error may come of a clock that is wrong as long as the server has not told the time."""
    return clock.source != "signed" and isinstance(
        error, AssignmentExpired | MetadataExpired | IssuedAhead | PermitRefused
    )


def judge_slot(parts: Parts, record: Record, slot: SlotName) -> None:
    """Whether the bundle in a slot may serve.

    Raises:
        DataFolderMalformed: It is damaged.
        SecurityFloorViolated: It is below the highest security floor confirmed.
    """
    if not parts.slots.is_whole(slot, record.slots[slot]):
        raise DataFolderMalformed(f"The bundle in slot {slot!r} is damaged", remedy="Check the device's storage.")
    manifest = parts.slots.manifest(slot)
    floor = trust.highest(parts.store.floor(), f"security/{manifest.name}")
    if manifest.security_floor < floor:
        raise SecurityFloorViolated(
            f"No start of, nor revert to, slot {slot!r}: {manifest.name} {manifest.version} has security floor"
            f" {manifest.security_floor}",
            expected=f"at least {floor}, which this device has confirmed",
            remedy="Roll out a release whose security floor is as high.",
        )


def told(error: EdgefleetError) -> ErrorReport:
    """An error as it is reported."""
    return ErrorReport(error.code, error.text())


def _is_known(assignment: bytes, floor: Floor, record: Record) -> bool:
    """Whether this very assignment was acted on: brokers repeat what they retain."""
    envelope = canonical.decode(
        assignment, dsse.Envelope, what="assignment", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed
    )
    same = canonical.sha256(dsse.unverified_payload(envelope)) == floor.assignment_sha256
    return same and trust.highest(floor, "sequence") == record.sequence
