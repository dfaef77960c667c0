"""The facts that the policy asks for, read from the database."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import cast

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from edgefleet_server.devices.models import ACTIVE, Device
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.rollouts.evidence import Verdict
from edgefleet_server.rollouts.models import Deployment, Rollout
from edgefleet_server.rollouts.policy import Amiss, Deployed, Plan, StageCounts, Watched
from edgefleet_server.rollouts.states import (
    ACTIVE_ROLLOUTS,
    AFTER_A_FAILURE,
    EXECUTED,
    IN_PROGRESS,
    UNDOABLE_ROLLOUTS,
    DeploymentState,
)


def rollouts_under_way(session: Session) -> list[int]:
    """Rollouts that are running or paused, or on their way back."""
    going_back = Rollout.state.in_(UNDOABLE_ROLLOUTS) & Rollout.undone_at.is_(None)
    query = select(Rollout.id).where(Rollout.state.in_(ACTIVE_ROLLOUTS) | going_back)
    return list(session.scalars(query.order_by(Rollout.id)))


def plan_of(rollout: Rollout) -> Plan:
    """What the operator asked for. Shares are exact: 0.29 is 29/100, not the double beside it."""
    return Plan(
        success=Fraction(str(rollout.success)),
        error=Fraction(str(rollout.error)),
        probation_ms=rollout.probation_ms,
        vectors=rollout.vectors_sha256 is not None,
        paused=rollout.state == "paused",
    )


def counts_of(session: Session, rollout: Rollout) -> list[StageCounts]:
    """The deployments of each stage, by state."""
    by_stage: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    grouped = (
        select(Deployment.stage, Deployment.state, func.count())
        .where(Deployment.rollout_id == rollout.id)
        .group_by(Deployment.stage, Deployment.state)
    )
    for stage, state, count in session.execute(grouped):
        by_stage[stage][_counted_as(state)] += count
    counted = ("waiting", "in_progress", "probation", *EXECUTED)
    return [
        StageCounts(
            stage.index, stage.started_at is not None, **{state: by_stage[stage.index][state] for state in counted}
        )
        for stage in rollout.stages
    ]


def watched_of(session: Session, rollout: Rollout) -> list[Watched]:
    """The devices in probation, with their evidence."""
    in_probation = select(Deployment).where(Deployment.rollout_id == rollout.id, Deployment.state == "probation")
    return [_watched(deployment) for deployment in session.scalars(in_probation.order_by(Deployment.device_id))]


def deployed_of(session: Session, rollout: Rollout) -> list[Deployed]:
    """All deployments of a rollout that is to go back."""
    taking_part = _of_active(rollout).where(Deployment.state != "skipped")
    return [
        _deployed(session, deployment) for deployment in session.scalars(taking_part.order_by(Deployment.device_id))
    ]


def failed_of(session: Session, rollout: Rollout) -> list[Deployed]:
    """The deployments that have failed and were not sent back yet."""
    failed = _of_active(rollout).where(Deployment.state == "failed")
    return [_deployed(session, deployment) for deployment in session.scalars(failed.order_by(Deployment.device_id))]


def states_of(session: Session, rollout: Rollout) -> dict[str, int]:
    """Deployments by state."""
    grouped = select(Deployment.state, func.count()).where(Deployment.rollout_id == rollout.id)
    return dict(session.execute(grouped.group_by(Deployment.state).order_by(Deployment.state)).all())


def first_failure(session: Session, rollout: Rollout) -> Deployment | None:
    """One of the deployments that failed; None when none did."""
    failed = select(Deployment).where(
        Deployment.rollout_id == rollout.id, Deployment.state.in_(("failed", *AFTER_A_FAILURE))
    )
    return session.scalars(failed.order_by(Deployment.updated_at).limit(1)).first()


def previous_of(session: Session, deployment: Deployment) -> str | None:
    """What the device can go back to: the newest bundle that it has confirmed, if we hold a release of it."""
    twin = deployment.device.twin
    candidates = [twin.running, *twin.confirmed]
    return next((digest for digest in candidates if digest and _is_released(session, digest)), None)


def _is_released(session: Session, digest: str) -> bool:
    """Whether a device would still take this bundle."""
    bundle = session.get(ReleasedBundle, digest)
    return bundle is not None and bundle.release.withdrawn_at is None


def _of_active(rollout: Rollout) -> Select[Deployment]:
    """The deployments of devices that can still be sent anywhere."""
    return (
        select(Deployment)
        .join(Device, Device.id == Deployment.device_id)
        .where(Deployment.rollout_id == rollout.id, Device.standing == ACTIVE)
    )


def _counted_as(state: str) -> str:
    if state in IN_PROGRESS:
        return "in_progress"
    return "failed" if state in AFTER_A_FAILURE else state


def _deployed(session: Session, deployment: Deployment) -> Deployed:
    previous = deployment.previous
    return Deployed(
        device=deployment.device_id,
        state=cast("DeploymentState", deployment.state),
        runs_release=deployment.device.twin.running == deployment.digest != deployment.previous,
        previous=previous if previous and _is_released(session, previous) else None,
    )


def _watched(deployment: Deployment) -> Watched:
    assert deployment.confirmed_at is not None
    verdict = None
    if deployment.verdict is not None:
        verdict = Verdict(**{key: value for key, value in deployment.verdict.items() if key != "phase"})
    amiss = Amiss(deployment.error_code, deployment.error_text or "") if deployment.error_code else None
    return Watched(deployment.device_id, deployment.confirmed_at, deployment.evidence_at, verdict, amiss)
