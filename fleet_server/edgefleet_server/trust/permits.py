"""Permits for downgrades: which devices need one, and those that the publisher gave."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, dsse, trust
from edgefleet_contract.errors import Conflict, NotFound, StatementMalformed, VerificationError
from edgefleet_contract.trust.repository import read_root
from edgefleet_contract.trust.statements import PERMIT_LIFE_LIMIT, STATEMENT_LIMIT
from edgefleet_server.audit.change import Change
from edgefleet_server.clock import DAY
from edgefleet_server.releases.models import Release, ReleasedBundle
from edgefleet_server.rollouts.models import Assignment, Deployment
from edgefleet_server.trust import service
from edgefleet_server.trust.models import DowngradePermit


def permits(session: Session) -> list[DowngradePermit]:
    """All permits, the newest first."""
    return list(session.scalars(select(DowngradePermit).order_by(DowngradePermit.id.desc())))


def add(change: Change, envelope: bytes) -> DowngradePermit:
    """Take a permit; what waits for it is published again with it.

    Raises:
        SignatureInvalid: The targets keys have not signed it.
        StatementMalformed: It is none.
        NotFound: Its bundle was never released.
        Conflict: It has expired, lives too long, or there is no trust root yet.
    """
    session = change.session
    repository = service.repository(session)
    if not repository.roots:
        raise Conflict("There is no trust root yet", remedy="Push with `edgefleet release push`.")
    signers = read_root(repository.roots[-1]).targets
    payload = dsse.verify(envelope, dsse.PERMIT, signers.keys, signers.keyset.threshold)
    permit = canonical.decode(payload, trust.Permit, what="permit", limit=STATEMENT_LIMIT, error=StatementMalformed)
    if session.get(ReleasedBundle, permit.digest) is None:
        raise NotFound(f"There is no released bundle {permit.digest!r}", remedy="`edgefleet release list` shows them.")
    if permit.expires <= change.now:
        raise Conflict("The permit has expired already", remedy="Sign a new one: `edgefleet release permit`.")
    if permit.expires > change.now + PERMIT_LIFE_LIMIT:
        raise Conflict(
            f"The permit would live {(permit.expires - change.now) // DAY} days",
            expected=f"at most {PERMIT_LIFE_LIMIT // DAY}",
            remedy="Sign a shorter one: `edgefleet release permit --expires 7d`.",
        )
    stored = DowngradePermit(
        digest=permit.digest,
        devices=permit.devices,
        envelope=envelope,
        expires=permit.expires,
        stored_at=change.now,
    )
    session.add(stored)
    session.flush()
    change.record("permit.stored", digest=permit.digest, devices=permit.devices, expires=permit.expires)
    service.publish_again(session, Assignment.digest == permit.digest)
    return stored


def newest(session: Session) -> int:
    """The number of the newest permit; 0 before the first."""
    return session.scalar(select(func.max(DowngradePermit.id))) or 0


def in_force(session: Session, now: int) -> dict[tuple[str, str], bytes]:
    """The envelopes of the permits that devices take now, by device and digest; the newest of each."""
    valid, _ = _unexpired(session, now)
    return {(device, permit.digest): permit.envelope for permit in valid for device in permit.devices}


def lapsed(session: Session, now: int) -> list[DowngradePermit]:
    """The permits that would not have expired, but died with a key that signed them, and that no other stands for."""
    valid, powerless = _unexpired(session, now)
    permitted = {(device, permit.digest) for permit in valid for device in permit.devices}
    return [
        permit for permit in powerless if any((device, permit.digest) not in permitted for device in permit.devices)
    ]


def states(session: Session, now: int) -> dict[int, str]:
    """How each permit stands, by its number.

    "in force"; "lapsed": see :func:`lapsed`; "replaced": as lapsed, and a newer one stands for it; "expired".
    """
    valid, powerless = _unexpired(session, now)
    found = {permit.id: "expired" for permit in permits(session)}
    found |= {permit.id: "in force" for permit in valid}
    found |= {permit.id: "replaced" for permit in powerless}
    return found | {permit.id: "lapsed" for permit in lapsed(session, now)}


def _unexpired(session: Session, now: int) -> tuple[list[DowngradePermit], list[DowngradePermit]]:
    """The permits that have not expired, the oldest first: those of the present targets keys, and all others."""
    rows = session.scalars(
        select(DowngradePermit).where(DowngradePermit.expires > now).order_by(DowngradePermit.id)
    ).all()
    if not rows:
        return [], []
    root = service.repository(session).roots[-1]
    valid = [row for row in rows if _is_signed(row.envelope, root)]
    return valid, [row for row in rows if row not in valid]


@lru_cache(maxsize=1024)
def _is_signed(envelope: bytes, root: bytes) -> bool:
    """Whether enough of the targets keys that this root names have signed a permit."""
    signers = read_root(root).targets
    try:
        dsse.verify(envelope, dsse.PERMIT, signers.keys, signers.keyset.threshold)
    except VerificationError:
        return False
    return True


def needed(session: Session, now: int, bundles: Iterable[tuple[str, ReleasedBundle]]) -> list[str]:
    """The devices that would refuse their bundle for want of a permit.

    These have confirmed a newer release of the model, have never confirmed this one, and have no permit for it.

    Args:
        session: Open.
        now: UTC milliseconds.
        bundles: Device ids, each with what it would be assigned.
    """
    permitted = in_force(session, now)
    wanted = dict(bundles)
    confirmed = (
        select(Deployment.device_id, Deployment.digest, Release.name, Release.issued)
        .join(ReleasedBundle, ReleasedBundle.digest == Deployment.digest)
        .join(Release, Release.id == ReleasedBundle.release_id)
        .where(Deployment.confirmed_at.is_not(None))
    )
    newest: dict[tuple[str, str], int] = {}
    ran = set()
    for device, digest, name, issued in session.execute(confirmed):
        if device in wanted:
            newest[device, name] = max(issued, newest.get((device, name), 0))
            ran.add((device, digest))
    return sorted(
        device
        for device, bundle in wanted.items()
        if bundle.release.issued < newest.get((device, bundle.release.name), 0)
        and (device, bundle.digest) not in ran
        and (device, bundle.digest) not in permitted
    )
