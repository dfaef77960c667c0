"""What the API says of rollouts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from edgefleet_server.clock import DAY, MINUTE
from edgefleet_server.devices.schemas import ErrorSchema
from edgefleet_server.rollouts.models import Deployment, Rollout
from edgefleet_server.rollouts.service import RolloutRequest

DEFAULT_STAGES = (10.0, 50.0, 100.0)
DEFAULT_SUCCESS = 0.9
DEFAULT_ERROR = 0.1
DEFAULT_PROBATION = 10 * MINUTE


class RolloutCreate(BaseModel):
    """Asks for a rollout.

    Attributes:
        release: NAME@VERSION.
        to: ``all``, ``key=value``, or the name of a group.
        stages: Percentages that grow to 100.
        vectors: SHA-256 of uploaded rollout vectors; by default the labelled ones of what runs now.
        start: Whether it starts at once.
    """

    release: str
    to: str
    stages: list[float] = Field(default_factory=lambda: list(DEFAULT_STAGES))
    success: float = DEFAULT_SUCCESS
    error: float = DEFAULT_ERROR
    probation_ms: int = Field(DEFAULT_PROBATION, ge=0, le=30 * DAY)
    vectors: str | None = None
    start: bool = True

    def as_request(self) -> RolloutRequest:
        """For the service."""
        return RolloutRequest(
            self.release, self.to, self.stages, self.success, self.error, self.probation_ms, self.vectors
        )


class StageSchema(BaseModel):
    """A stage: its share of the group, the devices that it adds, and their deployments by state."""

    percent: float
    devices: int
    started_at: int | None
    counts: dict[str, int]


class VectorsSchema(BaseModel):
    """The cases by which the release is judged."""

    sha256: str
    origin: str


class RolloutSchema(BaseModel):
    """A rollout and how far it has come.

    Attributes:
        state: ready, running, paused, halted, aborted, rolled_back, finished.
        undone_at: When one that was halted, aborted or rolled back had gone back as far as it can.
        counts: Deployments by state.
    """

    id: str
    release: str
    to: str
    state: str
    reason: str | None
    success: float
    error: float
    probation_ms: int
    vectors: VectorsSchema | None
    created_at: int
    started_at: int | None
    ended_at: int | None
    undone_at: int | None
    stages: list[StageSchema]
    counts: dict[str, int]


class DeploymentSchema(BaseModel):
    """One device's share.

    Attributes:
        stage: From 1; None for a device that the release has no bundle for.
        digest: What the rollout brings it; ``previous`` is what it had.
        evidence: The newest evidence by phase, as the device reported it; ``verdict`` judges it.
        why: The state in a sentence, where there is one.
    """

    device: str
    hardware: str
    stage: int | None
    state: str
    digest: str | None
    previous: str | None
    sequence: int
    updated_at: int
    confirmed_at: int | None
    evidence: dict[str, Any]
    verdict: dict[str, Any] | None
    error: ErrorSchema | None
    why: str | None


class RolloutDetail(RolloutSchema):
    """A rollout with its deployments."""

    deployments: list[DeploymentSchema]


def rollout_schema(rollout: Rollout, counts: dict[int, dict[str, int]]) -> RolloutSchema:
    """Describe a rollout; ``counts`` by stage and state."""
    totals: dict[str, int] = {}
    for by_state in counts.values():
        for state, count in by_state.items():
            totals[state] = totals.get(state, 0) + count
    vectors = None
    if rollout.vectors_sha256 is not None:
        vectors = VectorsSchema(sha256=rollout.vectors_sha256, origin=rollout.vectors_origin or "")
    return RolloutSchema(
        id=rollout.label,
        release=rollout.release.label,
        to=rollout.selector,
        state=rollout.state,
        reason=rollout.reason,
        success=rollout.success,
        error=rollout.error,
        probation_ms=rollout.probation_ms,
        vectors=vectors,
        created_at=rollout.created_at,
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
        undone_at=rollout.undone_at,
        stages=[
            StageSchema(
                percent=stage.percent,
                devices=stage.devices,
                started_at=stage.started_at,
                counts=counts.get(stage.index, {}),
            )
            for stage in rollout.stages
        ],
        counts=totals,
    )


def rollout_detail(rollout: Rollout, counts: dict[int, dict[str, int]], deployments: list[Deployment]) -> RolloutDetail:
    """Describe a rollout with its deployments."""
    return RolloutDetail(
        **rollout_schema(rollout, counts).model_dump(),
        deployments=[_deployment_schema(deployment) for deployment in deployments],
    )


def _deployment_schema(deployment: Deployment) -> DeploymentSchema:
    error = None
    if deployment.error_code is not None:
        error = ErrorSchema(code=deployment.error_code, text=deployment.error_text or "")
    return DeploymentSchema(
        device=deployment.device_id,
        hardware=deployment.device.hardware,
        stage=deployment.stage + 1 if deployment.stage >= 0 else None,
        state=deployment.state,
        digest=deployment.digest,
        previous=deployment.previous,
        sequence=deployment.sequence,
        updated_at=deployment.updated_at,
        confirmed_at=deployment.confirmed_at,
        evidence=deployment.evidence,
        verdict=deployment.verdict,
        error=error,
        why=_why(deployment),
    )


def _why(deployment: Deployment) -> str | None:
    if deployment.state == "skipped":
        return f"the release has no bundle for {deployment.device.hardware}"
    if deployment.error_text:
        return deployment.error_text
    heard = deployment.device.last_seen
    if deployment.state == "assigned" and (heard is None or heard < deployment.updated_at):
        return "it has not been heard since it was assigned"
    return str(deployment.verdict["text"]) if deployment.verdict else None
