"""Permits for downgrades: which devices need one, and those that the publisher gave."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, dsse, trust
from edgefleet_contract.errors import Conflict, NotFound, StatementMalformed
from edgefleet_contract.trust.repository import read_root
from edgefleet_contract.trust.statements import STATEMENT_LIMIT
from edgefleet_server.audit.change import Change
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
        Conflict: It has expired, or there is no trust root yet.
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
    """The envelopes of the permits that have not expired, by device and digest; the newest of each."""
    rows = session.scalars(
        select(DowngradePermit).where(DowngradePermit.expires > now).order_by(DowngradePermit.id)
    ).all()
    return {(device, row.digest): row.envelope for row in rows for device in row.devices}


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
