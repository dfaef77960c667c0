"""Operators' routes of rollouts."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from sqlalchemy.orm import Session

from edgefleet_server.auth import OperatorRole, Viewer
from edgefleet_server.fleet import FleetHere
from edgefleet_server.rollouts import service
from edgefleet_server.rollouts.models import Rollout
from edgefleet_server.rollouts.schemas import (
    RolloutCreate,
    RolloutDetail,
    RolloutSchema,
    rollout_detail,
    rollout_schema,
)
from edgefleet_server.users.roles import Role

router = APIRouter(prefix="/api/v1/rollouts", tags=["rollouts"])

Verb = Literal["start", "pause", "resume", "abort", "rollback"]
_STOPPING = ("pause", "abort")


@router.post("", status_code=201)
def create_rollout(fleet: FleetHere, operator: OperatorRole, request: RolloutCreate) -> RolloutDetail:
    """Plan a rollout, and start it unless it is to wait. A conflict at the start leaves no rollout behind."""
    if request.start:
        operator.require(Role.APPROVER, "Starting a rollout (planning it without a start does not)")
    with fleet.change(operator) as change:
        rollout = service.create(change, request.as_request(), fleet.blobs)
        if request.start:
            service.start(change, rollout)
        change.session.flush()
        answer = detail(change.session, rollout)
    fleet.wake()
    return answer


@router.get("")
def list_rollouts(fleet: FleetHere, _viewer: Viewer) -> list[RolloutSchema]:
    """All rollouts, the newest first."""
    with fleet.database.read() as session:
        return summaries(session)


@router.get("/{label}")
def show_rollout(fleet: FleetHere, _viewer: Viewer, label: str) -> RolloutDetail:
    """One rollout with its deployments."""
    with fleet.database.read() as session:
        return detail(session, service.rollout(session, label))


@router.post("/{label}/{verb}")
def act_on_rollout(fleet: FleetHere, operator: OperatorRole, label: str, verb: Verb) -> RolloutDetail:
    """Start, pause, resume, abort or roll back. Only stopping one is an operator's; the rest an approver's."""
    operator.require(Role.OPERATOR if verb in _STOPPING else Role.APPROVER, f"To {verb} a rollout")
    with fleet.change(operator) as change:
        rollout = service.rollout(change.session, label)
        service.VERBS[verb](change, rollout)
        change.session.flush()
        answer = detail(change.session, rollout)
    fleet.wake()
    return answer


def summaries(session: Session) -> list[RolloutSchema]:
    """All rollouts, the newest first."""
    found = service.rollouts(session)
    counts = service.counts_by_stage(session, [rollout.id for rollout in found])
    return [rollout_schema(rollout, counts.get(rollout.id, {})) for rollout in found]


def detail(session: Session, rollout: Rollout) -> RolloutDetail:
    """A rollout with its deployments."""
    counts = service.counts_by_stage(session, [rollout.id])
    return rollout_detail(rollout, counts.get(rollout.id, {}), service.deployments(session, rollout))
