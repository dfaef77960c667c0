"""A device of a batch asks to be taken in: its claim is checked, and its place taken, once."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, dsse, enrolment, keys
from edgefleet_contract.enrolment import BatchClaim, EnrollRequest
from edgefleet_contract.errors import BatchRefused, StatementMalformed
from edgefleet_server.devices import batches
from edgefleet_server.devices.models import BatchPlace, ClaimBatch


@dataclass(frozen=True)
class Place:
    """A batch, and the row of one piece of hardware in it; the row is new where there is no allow list."""

    batch: ClaimBatch
    row: BatchPlace


@dataclass(frozen=True)
class Question:
    """What the hook of a batch is asked: may this device enroll?"""

    hook: str
    about: dict[str, object]


def question(session: Session, now: int, request: EnrollRequest, csr_key: str) -> Question | None:
    """What is to be asked before ``request`` is granted; None where nobody is. Raises as :func:`check`."""
    place = check(session, now, request, csr_key, agreed=True)
    if place.batch.hook is None or place.row.device_id is not None:
        return None
    about: dict[str, object] = {
        "batch": place.batch.name,
        "hardware": request.hardware,
        "fingerprint": msgspec.to_builtins(request.fingerprint),
        "agent": request.agent,
    }
    return Question(place.batch.hook, about)


def check(session: Session, now: int, request: EnrollRequest, csr_key: str, *, agreed: bool) -> Place:
    """The place of the device that sends ``request``; taken already only by this very request.

    Args:
        session: Of the transaction.
        now: UTC milliseconds.
        request: The device's.
        csr_key: Of its CSR.
        agreed: Whether the batch's hook has agreed, where there is one.

    Raises:
        BatchRefused: The batch does not take it in.
        StatementMalformed, SignatureInvalid: The claim is none, or not by the batch's key.
    """
    batch = _signed_by_batch(session, request)
    if batch.closed_at is not None or batch.expires_at <= now:
        raise BatchRefused(f"The batch {batch.name!r} " + ("is closed" if batch.closed_at else "has expired"))
    hardware = request.fingerprint.hardware
    row = session.get(BatchPlace, (batch.id, hardware))
    if row is None:
        if batch.has_allow_list:
            raise BatchRefused(
                f"The batch {batch.name!r} has no place for this hardware",
                expected="a serial number or fingerprint of its allow list",
                hardware=hardware,
            )
        if not _has_names(request):
            raise BatchRefused("The device has no serial number, machine id or network address to be known by")
        row = BatchPlace(batch_id=batch.id, hardware=hardware)
    if row.device_id is not None and row.csr_key != csr_key:
        raise BatchRefused(
            f"This hardware has enrolled already, as {row.device_id}",
            remedy="Somebody used its serial number, or its storage was wiped: a claim token lets it in.",
            device=row.device_id,
        )
    if row.device_id is None and batches.taken(session, batch) >= batch.count:
        raise BatchRefused(f"All {batch.count} places of the batch {batch.name!r} are taken")
    if row.device_id is None and batch.hook is not None and not agreed:
        raise BatchRefused(f"The hook of the batch {batch.name!r} was not asked")
    return Place(batch, row)


def take(session: Session, now: int, place: Place, device: str, csr_key: str) -> None:
    """Give the place to ``device``."""
    place.row.device_id, place.row.csr_key, place.row.taken_at = device, csr_key, now
    session.add(place.row)


def _signed_by_batch(session: Session, request: EnrollRequest) -> ClaimBatch:
    envelope = request.claim.encode()
    opened = canonical.decode(
        envelope, dsse.Envelope, what="batch claim", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed
    )
    claimed = enrolment.decode(dsse.unverified_payload(opened), BatchClaim)  # names the batch to verify it with
    batch = session.scalars(select(ClaimBatch).where(ClaimBatch.name == claimed.batch)).first()
    if batch is None:
        raise BatchRefused("The batch is unknown to this server")
    key = keys.public_from_text(batch.key)
    dsse.verify(envelope, dsse.BATCH_CLAIM, {keys.key_id(key): key})
    if claimed.csr_sha256 != canonical.sha256(request.csr.encode()):
        raise StatementMalformed("The batch claim is for another request", expected="one for this CSR")
    return batch


def _has_names(request: EnrollRequest) -> bool:
    printed = request.fingerprint
    return bool(printed.serial or printed.machine or printed.network)
