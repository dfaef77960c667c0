"""What a device believes: ``accept`` decides, the store remembers. No clock, network or data folder of its own.

Three keys, three powers. The *root* key says which other keys there are. *Targets* keys, on the operator's machine,
say which bundles exist. The *assignment* key, on the server, says which of them this device runs. A stolen server can
therefore choose among signed releases, and the floors keep it from choosing old ones.

The order of checks follows the TUF client workflow (specification 1.0.33, section 5): who signed, for whom, which
version, until when; only then is anything remembered. The scheme of the proof is pinned at enrolment and is never
chosen by the message.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from edgefleet_contract import canonical, dsse
from edgefleet_contract.errors import (
    AssignmentExpired,
    AssignmentReplayed,
    StatementMalformed,
    VerificationError,
    WrongDevice,
    WrongTarget,
)
from edgefleet_contract.trust import history
from edgefleet_contract.trust.floors import Floor, has_lost, height, raised
from edgefleet_contract.trust.proofs import Proof, decode_proof
from edgefleet_contract.trust.repository import RootView
from edgefleet_contract.trust.statements import (
    STATEMENT_LIMIT,
    VERSION,
    Accepted,
    Assignment,
    Mark,
    Permit,
    Pins,
    Time,
    TrustStore,
)

if TYPE_CHECKING:
    from edgefleet_contract.trust.updater import FollowedRoot, Verified

Statement = TypeVar("Statement", Assignment, Permit)


def accept(assignment: bytes, proof: bytes, now: int | Time, store: TrustStore) -> Accepted:
    """Decide whether to act on an assignment; on success its sequence and the proof's versions are the floor.

    Args:
        assignment: DSSE envelope of an :class:`Assignment`.
        proof: What the pinned scheme needs; opaque to callers.
        now: UTC milliseconds; a :class:`Time` where the clock rests on keys that the proof may replace.
        store: The device's memory.

    Raises:
        VerificationError: One of its leaves; the store is unchanged.
    """
    from edgefleet_contract.trust import updater  # noqa: PLC0415 - heavy, see there

    floor = _standing_floor(store)
    opened, root = _open(proof, store.pins, floor)
    time = _judged_at(Time.at(now), floor, root.view)
    claimed, payload_sha256 = _addressed(assignment, store.pins, root.view)
    speakers = root.view.assignment.keyset
    repeated = _check_sequence(claimed, payload_sha256, floor, height(floor, "sequence", speakers))
    if claimed.expires <= time.now:
        raise AssignmentExpired(
            f"Assignment {claimed.sequence} expired at {claimed.expires} ms, and it is {time.now} ms",
            remedy="Wait for the server to renew it; check this device's clock if it should be valid.",
        )
    verified = _with_confirmed(updater.verify_metadata(opened, root, floor, time.now), store)
    if claimed.digest is not None:
        _check_assigned(claimed, verified)
        history.check(claimed, verified, _permit(opened, root.view), time, store)
    risen = raised(verified.floor, "sequence", speakers, claimed.sequence)
    remember(store, msgspec.structs.replace(risen, assignment_sha256=payload_sha256), proof)
    if claimed.digest is None:
        return Accepted(claimed, None, None, repeated, assigners=speakers)
    return Accepted(claimed, verified.release, verified.bundle, repeated, verified.delegation, speakers)


def refresh(proof: bytes, now: int | Time, store: TrustStore) -> None:
    """Take in newer metadata, such as a root that replaces keys, without an assignment.

    Args:
        proof: As in :func:`accept`.
        now: As there.
        store: As there.

    Raises:
        VerificationError: The proof does not stand; the store is unchanged.
    """
    from edgefleet_contract.trust import updater  # noqa: PLC0415 - heavy, see there

    floor = _standing_floor(store)
    opened, root = _open(proof, store.pins, floor)
    time = _judged_at(Time.at(now), floor, root.view)
    verified = _with_confirmed(updater.verify_metadata(opened, root, floor, time.now), store)
    remember(store, verified.floor, proof)


def addressed(assignment: bytes, proof: bytes, store: TrustStore) -> tuple[Mark, bool]:
    """The mark of an envelope's assignment, if an assignment key signed it for this device, and whether it may be news.

    Whether it is in time and proven is for :func:`accept` to say. What it refuses after this, the server did assign,
    so that a device reports it under the assignment's sequence.

    Raises:
        VerificationError: The roots of the proof do not stand.
        StatementMalformed: No assignment.
        SignatureInvalid: Not by an assignment key of the newest root.
        WrongDevice: For another device.
        WrongTarget: For other hardware.
    """
    floor = _standing_floor(store)
    _, root = _open(proof, store.pins, floor)
    claimed, _ = _addressed(assignment, store.pins, root.view)
    speakers = root.view.assignment.keyset
    return Mark(claimed.sequence, speakers), claimed.sequence >= height(floor, "sequence", speakers)


def confirm(accepted: Accepted, store: TrustStore) -> None:
    """Raise the floors that a confirmation raises: security floor, and age of the model's releases."""
    release, delegation = accepted.release, accepted.delegation
    if release is not None and delegation is not None:
        store.raise_floor(history.confirmed(store.floor(), release, delegation))


def remember(store: TrustStore, floor: Floor, proof: bytes) -> None:
    """Remember what was accepted: the floor first.

    A power cut between the two leaves a floor that refuses everything older, and the same message is taken when it
    comes again. The other way round, what was accepted could be forgotten with the proof's file.
    """
    store.raise_floor(floor)
    store.keep_proof(proof)


def _open(proof: bytes, pins: Pins, floor: Floor) -> tuple[Proof, FollowedRoot]:
    from edgefleet_contract.trust import updater  # noqa: PLC0415 - heavy, see there

    opened = decode_proof(proof, pins.scheme)
    return opened, updater.follow_roots(opened, pins.root, floor)


def _judged_at(time: Time, floor: Floor, root: RootView) -> Time:
    """The time by which a proof is judged.

    What the assignment keys said of the time falls with them, before anything is judged by it: a thief may have sent
    this device into a future in which the very metadata have expired that take his key away.
    """
    speakers = root.assignment.keyset
    if has_lost(floor, "sequence", speakers) or has_lost(floor, "time", speakers):
        now = min(time.now, max(time.own, height(floor, "time", speakers)))
        return msgspec.structs.replace(time, now=now)
    return time


def _addressed(assignment: bytes, pins: Pins, root: RootView) -> tuple[Assignment, str]:
    signers = root.assignment
    payload = dsse.verify(assignment, dsse.ASSIGNMENT, signers.keys, signers.keyset.threshold)
    claimed = _statement(payload, Assignment, "assignment")
    _check_addressee(claimed, pins)
    if (claimed.digest is None) != (claimed.purpose == "withdraw"):
        raise StatementMalformed(
            f"The assignment is to {claimed.purpose}, and its bundle is {claimed.digest!r}",
            expected="a bundle, or a withdrawal",
        )
    return claimed, canonical.sha256(payload)


def _check_addressee(assignment: Assignment, pins: Pins) -> None:
    if assignment.device != pins.device:
        raise WrongDevice(f"The assignment is for {assignment.device!r}", expected=repr(pins.device))
    if assignment.hardware != pins.hardware:
        raise WrongTarget(f"The assignment is for hardware {assignment.hardware!r}", expected=repr(pins.hardware))


def _check_sequence(assignment: Assignment, payload_sha256: str, floor: Floor, lowest: int) -> bool:
    """Whether this is the assignment accepted last, come again; an error if it is older or another of its number."""
    if assignment.sequence > lowest:
        return False
    if assignment.sequence == lowest and payload_sha256 == floor.assignment_sha256:
        return True
    raise AssignmentReplayed(
        f"The assignment has sequence {assignment.sequence}",
        expected=f"one above {lowest}",
        remedy="An old message was replayed, or a restored server forgot what it had assigned.",
    )


def _check_assigned(assignment: Assignment, verified: Verified) -> None:
    bundle = verified.bundle
    if bundle is None or bundle.digest != assignment.digest:
        raise StatementMalformed(
            f"The proof is of {bundle and bundle.digest!r}, and the assigned bundle is {assignment.digest!r}",
            expected="the proof of the assigned bundle",
        )
    if assignment.hardware not in bundle.hardware:
        raise WrongTarget(
            f"The assigned bundle is for {', '.join(bundle.hardware)}", expected=f"one for {assignment.hardware}"
        )


def _permit(proof: Proof, root: RootView) -> Permit | None:
    if not proof.has_permit:
        return None
    signers = root.targets
    payload = dsse.verify(bytes(proof.permit), dsse.PERMIT, signers.keys, signers.keyset.threshold)
    return _statement(payload, Permit, "permit")


def _statement(payload: bytes, kind: type[Statement], what: str) -> Statement:
    statement = canonical.decode(payload, kind, what=what, limit=STATEMENT_LIMIT, error=StatementMalformed)
    if statement.v != VERSION:
        raise StatementMalformed(f"The {what} has version {statement.v}", expected=str(VERSION))
    return statement


def _standing_floor(store: TrustStore) -> Floor:
    """The floor; where its file is lost, the highest that the proof accepted last and the state record bear witness to.

    The assignment acted on last may then come again: the server repeats it, and nobody remembers its payload. Its
    sequence stands under the keys that signed it: those of a newer root may have replaced a thief's since.
    """
    from edgefleet_contract.trust import updater  # noqa: PLC0415 - heavy, see there

    floor, kept = store.floor(), store.proof()
    if floor.root or kept is None:
        return floor
    try:
        opened, root = _open(kept, store.pins, floor)
        verified = updater.verify_metadata(opened, root, floor, now=0)  # at the time 0, nothing has expired
        verified = _with_confirmed(verified, store)
    except VerificationError:
        return floor  # both are lost: all that is left is the pinned root
    acted_on = store.acted_on()
    assigners = acted_on.keys or verified.speakers.assignment
    return raised(verified.floor, "sequence", assigners, max(acted_on.sequence - 1, 0))


def _with_confirmed(verified: Verified, store: TrustStore) -> Verified:
    """The same, with the floors of what this device has confirmed of the model, where the metadata still list it.

    So a planned replacement of keys lets no floor fall, and neither does the loss of the floor's file. What a thief
    released, the owner withdraws before new keys sign the list.
    """
    floor = verified.floor
    for release, bundle in verified.listed():
        if verified.delegation is not None and store.has_confirmed(bundle.digest):
            floor = history.confirmed(floor, release, verified.delegation)
    return replace(verified, floor=floor)
