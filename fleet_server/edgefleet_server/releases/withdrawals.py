"""Withdrawn releases: those of which the publisher's metadata have ceased to speak.

No device takes such a release any more, for its proof fails. The server only follows: it ends the rollouts, and knows
which devices still run what was withdrawn before it was.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract.errors import Conflict
from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import Change
from edgefleet_server.devices.models import ACTIVE, Device, Twin
from edgefleet_server.releases.models import Release, ReleasedBundle
from edgefleet_server.rollouts.models import Rollout
from edgefleet_server.rollouts.states import ACTIVE_ROLLOUTS
from edgefleet_server.trust import released
from edgefleet_server.trust.repository import Repository


def follow(change: Change, before: Repository, after: Repository) -> None:
    """Withdraw the releases that newer metadata leave out; what was withdrawn does not come back.

    Args:
        change: In which the metadata are taken.
        before: The metadata so far.
        after: The newer ones.

    Raises:
        Conflict: They speak again of a release that was withdrawn.
    """
    for name, data in after.models.items():
        if before.models.get(name) == data:
            continue
        left = set(released.labels(after.model(name)))
        gone = set(released.labels(before.model(name))) - left
        for release in change.session.scalars(select(Release).where(Release.name == name).order_by(Release.id)):
            if release.withdrawn_at is not None and release.label in left:
                raise Conflict(
                    f"The release {release.label} was withdrawn, and never comes back",
                    remedy="Give the bundles a new version.",
                )
            if release.withdrawn_at is None and release.label in gone:
                _withdraw(change, release)


def running(session: Session, release: Release) -> list[str]:
    """The devices of the fleet that report to run a release."""
    digests = select(ReleasedBundle.digest).where(ReleasedBundle.release_id == release.id)
    query = (
        select(Device.id)
        .join(Twin, Twin.device_id == Device.id)
        .where(Device.standing == ACTIVE, Twin.running.in_(digests))
    )
    return list(session.scalars(query.order_by(Device.id)))


def _withdraw(change: Change, release: Release) -> None:
    release.withdrawn_at = change.now
    change.record("release.withdrawn", release=release.label, devices=running(change.session, release))
    query = select(Rollout).where(Rollout.release_id == release.id, Rollout.state.in_(("ready", *ACTIVE_ROLLOUTS)))
    for rollout in change.session.scalars(query.order_by(Rollout.id)).all():
        reason = f"the release {release.label} was withdrawn"
        rollout.state, rollout.reason, rollout.undo, rollout.ended_at = "halted", reason, "everything", change.now
        change.record("rollout.halted", rollout=rollout.id, reason=reason)
        alerts.raise_alert(
            change,
            kind="halted",
            cause=f"halted:{rollout.id}",
            text=f"Rollout {rollout.label} of {release.label} was halted: {reason}",
            rollout=rollout.id,
        )
