"""Tables of rollouts, their stages, each device's deployment, and the assignments signed for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from edgefleet_server.db import Base, Identity
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.models import Release
from edgefleet_server.rollouts.states import Undo


class Rollout(Base):
    """A plan to bring a release to a group, and how far it has come.

    Attributes:
        selector: The group, as the operator wrote it.
        state: "ready", "running", "paused", "halted", "aborted", "rolled_back" or "finished".
        reason: Why it was halted, aborted or rolled back.
        undo: What such a rollout takes back: "everything", "unsettled" (what has not succeeded), or None.
        undone_at: When the last device that was to go back had gone back.
        success, error: Thresholds, as shares of the executed deployments.
        vectors_sha256: The rollout vectors; None when there are none.
    """

    __tablename__ = "rollouts"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    selector: Mapped[str] = mapped_column(String(256))
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str | None] = mapped_column(Text)
    undo: Mapped[Undo | None] = mapped_column(String(16))
    undone_at: Mapped[int | None]
    success: Mapped[float]
    error: Mapped[float]
    probation_ms: Mapped[int]
    vectors_sha256: Mapped[str | None] = mapped_column(ForeignKey("blobs.sha256"))
    vectors_origin: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[int]
    started_at: Mapped[int | None]
    ended_at: Mapped[int | None]

    release: Mapped[Release] = relationship(lazy="joined", innerjoin=True)
    stages: Mapped[list[Stage]] = relationship(order_by="Stage.index", lazy="selectin")

    @property
    def label(self) -> str:
        """How people and assignments name it."""
        return rollout_label(self.id)


def rollout_label(rollout_id: int) -> str:
    """How people and assignments name a rollout."""
    return f"r{rollout_id}"


class Stage(Base):
    """A step of a rollout.

    Attributes:
        percent: Share of the group that has the release once this stage is through.
        devices: How many devices it adds.
    """

    __tablename__ = "stages"

    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    percent: Mapped[float]
    devices: Mapped[int]
    started_at: Mapped[int | None]


class Deployment(Base):
    """One device's share of a rollout.

    Attributes:
        state: See ``states.DeploymentState``.
        digest: The bundle that the release has for this device; None when it has none.
        previous: Digest that the device ran when it was assigned.
        sequence: Of the last assignment made for this deployment; 0 before.
        confirmed_at: When the server learnt that the device had confirmed; the start of its probation.
        evidence: The newest ``messages.Evidence`` a phase.
        evidence_at: When the newest evidence of the probation came.
        verdict: The judgement of the evidence, as JSON.
        error_code, error_text: Why it failed.
    """

    __tablename__ = "deployments"
    __table_args__ = (Index("ix_deployments_device_state", "device_id", "state"),)

    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str | None] = mapped_column(String(64))
    previous: Mapped[str | None] = mapped_column(String(64))
    sequence: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[int]
    confirmed_at: Mapped[int | None]
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    evidence_at: Mapped[int | None]
    verdict: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_text: Mapped[str | None] = mapped_column(Text)

    device: Mapped[Device] = relationship(lazy="joined", innerjoin=True)


class Assignment(Base):
    """A signed assignment. The one with a device's highest sequence is in force.

    Attributes:
        purpose: "deploy", "withdraw" or "rollback".
        digest: What the device is to run; None withdraws what it has not confirmed.
        release_id: The release that proves it; None with ``digest``.
        bundle_sha256, vectors_sha256: Files that the device may fetch for it.
        envelope: DSSE envelope, as sent.
        key_id: Of the assignment key that signed it, as TUF names it.
        published_at: When the broker took it; None before.
    """

    __tablename__ = "assignments"
    __table_args__ = (Index("ix_assignments_published_at", "published_at"),)

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str | None] = mapped_column(String(64))
    release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id"))
    bundle_sha256: Mapped[str | None] = mapped_column(String(64))
    vectors_sha256: Mapped[str | None] = mapped_column(String(64))
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[str | None] = mapped_column(String(64))
    issued_at: Mapped[int]
    expires: Mapped[int]
    published_at: Mapped[int | None]
