"""What an operator does with rollouts: create, look, start, pause, resume, abort, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edgefleet_contract.errors import Conflict, InputError, NotFound
from edgefleet_server.audit.change import Change
from edgefleet_server.devices.groups import devices_of, parse_selector
from edgefleet_server.devices.models import Device
from edgefleet_server.releases import service as releases
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.models import Release
from edgefleet_server.rollouts import planning, vectors
from edgefleet_server.rollouts.models import Deployment, Rollout, Stage, rollout_label
from edgefleet_server.rollouts.states import ACTIVE_ROLLOUTS, IN_PROGRESS
from edgefleet_server.trust import permits


@dataclass(frozen=True)
class RolloutRequest:
    """What the operator asks for.

    Attributes:
        release: NAME@VERSION.
        to: The group.
        stages: Percentages that grow to 100.
        success, error: Thresholds, 0 to 1.
        vectors_sha256: Rollout vectors among the blobs; None takes the default.
    """

    release: str
    to: str
    stages: Sequence[float]
    success: float
    error: float
    probation_ms: int
    vectors_sha256: str | None


def create(change: Change, request: RolloutRequest, blobs: BlobStore) -> Rollout:
    """Plan a rollout over the devices that the group has now.

    Raises:
        InputError: No such release, no device in the group, no bundle for any of them, stages that do not grow, or
            vectors that do not fit.
        Conflict: The release was withdrawn, or devices would refuse it for want of a permit.
    """
    session = change.session
    release = releases.release(session, request.release)
    releases.check_assignable(release)
    planning.check_stages(request.stages)
    planning.check_thresholds(request.success, request.error)
    devices = devices_of(session, parse_selector(request.to))
    if not devices:
        raise InputError(
            f"No device belongs to {request.to!r}", remedy="`edgefleet device list` shows the devices and their tags."
        )
    served = [device for device in devices if planning.bundle_for(release, device.hardware)]
    if not served:
        hardware = ", ".join(sorted({device.hardware for device in devices}))
        raise InputError(
            f"The release {release.label} has no bundle for {hardware}",
            expected="a release with a bundle for at least one device of the group",
        )
    _check_permitted(change, release, served)
    judged_by = vectors.choose(session, request.vectors_sha256, release, served, blobs)
    rollout = Rollout(
        release=release,
        selector=request.to,
        state="ready",
        success=request.success,
        error=request.error,
        probation_ms=request.probation_ms,
        vectors_sha256=judged_by.sha256 if judged_by else None,
        vectors_origin=judged_by.origin if judged_by else None,
        created_at=change.now,
        stages=[],
    )
    session.add(rollout)
    session.flush()
    _add_stages(change, rollout, request.stages, devices)
    change.record(
        "rollout.created",
        rollout=rollout.id,
        release=release.label,
        to=request.to,
        devices=len(devices),
        served=len(served),
        vectors=rollout.vectors_origin,
    )
    return rollout


def start(change: Change, rollout: Rollout) -> None:
    """Let the policy move the rollout.

    Raises:
        Conflict: It is not ready, or a device is in another rollout that is under way.
    """
    _check_state(rollout, "start", "ready")
    _check_free(change.session, rollout)
    rollout.state, rollout.started_at = "running", change.now
    change.record("rollout.started", rollout=rollout.id)


def pause(change: Change, rollout: Rollout) -> None:
    """Hold new stages back; what is under way goes on, and may still halt the rollout."""
    _check_state(rollout, "pause", "running")
    rollout.state = "paused"
    change.record("rollout.paused", rollout=rollout.id)


def resume(change: Change, rollout: Rollout) -> None:
    """Let a paused rollout go on."""
    _check_state(rollout, "resume", "paused")
    rollout.state = "running"
    change.record("rollout.resumed", rollout=rollout.id)


def abort(change: Change, rollout: Rollout) -> None:
    """End a rollout for good. What has succeeded stays; what has not goes back."""
    _check_state(rollout, "abort", "ready", *ACTIVE_ROLLOUTS)
    rollout.state, rollout.undo, rollout.ended_at = "aborted", "unsettled", change.now
    rollout.reason = f"aborted by {change.actor}"
    change.record("rollout.aborted", rollout=rollout.id)


def roll_back(change: Change, rollout: Rollout) -> None:
    """End a rollout for good, and bring every device that has its release back to what it confirmed before.

    Raises:
        Conflict: There is nothing to bring back, or a device is in another rollout that is under way.
    """
    _check_state(rollout, "roll back", *ACTIVE_ROLLOUTS, "finished", "aborted")
    _check_free(change.session, rollout)
    rollout.state, rollout.undo, rollout.undone_at = "rolled_back", "everything", None
    rollout.ended_at = rollout.ended_at or change.now
    rollout.reason = f"rolled back by {change.actor}"
    change.record("rollout.rollback_ordered", rollout=rollout.id)


VERBS = {"start": start, "pause": pause, "resume": resume, "abort": abort, "rollback": roll_back}


def rollout(session: Session, label: str) -> Rollout:
    """The rollout that people call r1, r2, ...

    Raises:
        NotFound: There is none.
    """
    number = label.removeprefix("r")
    found = session.get(Rollout, int(number)) if number.isdecimal() and len(number) < 16 else None
    if found is None or label != found.label:
        raise NotFound(f"There is no rollout {label!r}", remedy="`edgefleet rollout list` shows them.")
    return found


def rollouts(session: Session) -> list[Rollout]:
    """All rollouts, the newest first."""
    return list(session.scalars(select(Rollout).order_by(Rollout.id.desc()).limit(1000)))


def deployments(session: Session, found: Rollout) -> list[Deployment]:
    """All deployments of a rollout, by stage and device."""
    query = select(Deployment).where(Deployment.rollout_id == found.id)
    return list(session.scalars(query.order_by(Deployment.stage, Deployment.device_id)))


def counts_by_stage(session: Session, rollout_ids: Sequence[int]) -> dict[int, dict[int, dict[str, int]]]:
    """Deployments by rollout, stage and state. Skipped ones stand under stage -1."""
    counts: dict[int, dict[int, dict[str, int]]] = {}
    grouped = (
        select(Deployment.rollout_id, Deployment.stage, Deployment.state, func.count())
        .where(Deployment.rollout_id.in_(rollout_ids))
        .group_by(Deployment.rollout_id, Deployment.stage, Deployment.state)
    )
    for rollout_id, stage, state, count in session.execute(grouped):
        counts.setdefault(rollout_id, {}).setdefault(stage, {})[state] = count
    return counts


def state_counts(session: Session) -> dict[str, int]:
    """Rollouts by state."""
    grouped = select(Rollout.state, func.count()).group_by(Rollout.state)
    return dict(session.execute(grouped).all())


def _add_stages(change: Change, rollout: Rollout, percents: Sequence[float], devices: Sequence[Device]) -> None:
    bundles = {device.id: planning.bundle_for(rollout.release, device.hardware) for device in devices}
    served = [device for device in devices if bundles[device.id] is not None]
    planned = planning.plan_stages(rollout_label(rollout.id), percents, served)
    stage_of = {device.id: index for index, stage in enumerate(planned) for device in stage.devices}
    rollout.stages = [
        Stage(index=index, percent=stage.percent, devices=len(stage.devices)) for index, stage in enumerate(planned)
    ]
    for device in devices:
        bundle = bundles[device.id]
        change.session.add(
            Deployment(
                rollout_id=rollout.id,
                device_id=device.id,
                stage=stage_of.get(device.id, -1),
                state="waiting" if bundle else "skipped",
                digest=bundle.digest if bundle else None,
                sequence=0,
                updated_at=change.now,
                evidence={},
            )
        )


def _check_free(session: Session, rollout: Rollout) -> None:
    """Two rollouts must not move one device."""
    busy = session.scalars(
        select(Rollout)
        .join(Deployment, Deployment.rollout_id == Rollout.id)
        .where(
            Rollout.state.in_(ACTIVE_ROLLOUTS),
            Rollout.id != rollout.id,
            Deployment.state.in_(("waiting", *IN_PROGRESS, "probation")),
            Deployment.device_id.in_(select(Deployment.device_id).where(Deployment.rollout_id == rollout.id)),
        )
    ).first()
    if busy is not None:
        raise Conflict(
            f"Rollout {busy.label} of {busy.release.label} is under way on devices in {rollout.selector!r}",
            remedy=f"Wait for it, or end it with `edgefleet rollout abort {busy.label}`; then try again.",
            busy=busy.label,
        )


def _check_permitted(change: Change, release: Release, devices: Sequence[Device]) -> None:
    """Refuse a downgrade that the devices would refuse."""
    wanted = [(device.id, planning.bundle_for(release, device.hardware)) for device in devices]
    refusing = permits.needed(change.session, change.now, [(device, bundle) for device, bundle in wanted if bundle])
    if refusing:
        named = " ".join(f"--device {device}" for device in refusing)
        command = f"edgefleet release permit --release {release.label} {named}"
        raise Conflict(
            f"The release {release.label} is older than what {len(refusing)} of the devices have confirmed, and they "
            "have never run it",
            expected="a permit for this downgrade, by the targets keys",
            remedy=f"Permit it on the machine that has them: `{command}`.",
            devices=refusing,
        )


def _check_state(rollout: Rollout, verb: str, *allowed: str) -> None:
    if rollout.state not in allowed:
        raise Conflict(
            f"Rollout {rollout.label} is {rollout.state}", expected=f"one that is {' or '.join(allowed)} to {verb}"
        )
