"""A device's places in rollouts, when it leaves the fleet or another one takes over from it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_server.audit.change import Change
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.rollouts import planning
from edgefleet_server.rollouts.models import Deployment, Rollout, Stage
from edgefleet_server.rollouts.states import ACTIVE_ROLLOUTS, UNSETTLED

_UNDER_WAY = ("waiting", *UNSETTLED)
_OPEN = ("ready", *ACTIVE_ROLLOUTS)


def vacate(change: Change, device: str) -> None:
    """End what is under way for a device that is no longer there; what has ended stays as history."""
    query = select(Deployment).where(Deployment.device_id == device, Deployment.state.in_(_UNDER_WAY))
    for deployment in change.session.scalars(query).all():
        deployment.state, deployment.updated_at = "superseded", change.now


def take_over(change: Change, old: Device, new: Device) -> list[str]:
    """Give ``new`` the places of ``old`` in rollouts that are not over, else a rollout of what ``old`` runs.

    Returns:
        The rollouts that now serve ``new``.
    """
    session = change.session
    query = (
        select(Deployment)
        .join(Rollout, Rollout.id == Deployment.rollout_id)
        .where(Deployment.device_id == old.id, Deployment.stage >= 0, Rollout.state.in_(_OPEN))
        .order_by(Deployment.rollout_id)
    )
    taken = []
    for deployment in session.scalars(query).all():
        if session.get(Deployment, (deployment.rollout_id, new.id)) is None:
            rollout = session.get_one(Rollout, deployment.rollout_id)
            deployment.state, deployment.updated_at = "superseded", change.now
            session.add(_place(change, rollout, new, deployment.stage))
            taken.append(rollout.label)
    return taken or _bring_what_ran(change, old, new)


def _bring_what_ran(change: Change, old: Device, new: Device) -> list[str]:
    """A rollout to ``new`` alone of the release that ``old`` runs, on the terms on which that one got it."""
    session = change.session
    model = _last_rollout_of(session, old)
    bundle = planning.bundle_for(model.release, new.hardware) if model is not None else None
    if model is None or bundle is None or model.release.withdrawn_at is not None or new.twin.running == bundle.digest:
        return []
    rollout = Rollout(
        release=model.release,
        selector=new.id,
        state="running",
        success=model.success,
        error=model.error,
        probation_ms=model.probation_ms,
        vectors_sha256=model.vectors_sha256,
        vectors_origin=model.vectors_origin,
        created_at=change.now,
        started_at=change.now,
        stages=[],
    )
    session.add(rollout)
    session.flush()
    rollout.stages = [Stage(index=0, percent=100.0, devices=1)]
    session.add(_place(change, rollout, new, 0))
    change.record("rollout.created", rollout=rollout.id, release=model.release.label, to=new.id, devices=1, served=1)
    return [rollout.label]


def _last_rollout_of(session: Session, device: Device) -> Rollout | None:
    """The newest rollout that brought what ``device`` runs; None when it runs nothing of ours."""
    if device.twin.running is None or session.get(ReleasedBundle, device.twin.running) is None:
        return None
    query = (
        select(Rollout)
        .join(Deployment, Deployment.rollout_id == Rollout.id)
        .where(Deployment.device_id == device.id, Deployment.digest == device.twin.running)
        .order_by(Rollout.id.desc())
    )
    return session.scalars(query.limit(1)).first()


def _place(change: Change, rollout: Rollout, device: Device, stage: int) -> Deployment:
    bundle = planning.bundle_for(rollout.release, device.hardware)
    return Deployment(
        rollout_id=rollout.id,
        device_id=device.id,
        stage=stage if bundle else -1,
        state="waiting" if bundle else "skipped",
        digest=bundle.digest if bundle else None,
        sequence=0,
        updated_at=change.now,
        evidence={},
    )
