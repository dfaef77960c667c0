"""The table of alerts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from edgefleet_server.db import Base, Identity


class Alert(Base):
    """Something a person should look at.

    Attributes:
        kind: "drift", "halted", "rollback", "offline", "stale", "storage", "revocation", "expiry", "trust", "unknown",
            "flood" or "device.cloned".
        cause: Names what it is about; while an alert of this cause is open there is no second one.
        count: How often the cause was seen.
        acked_at, acked_by: When somebody took note, and who.
        resolved_at: When the cause went away; a later one opens a new alert.
    """

    __tablename__ = "alerts"
    __table_args__ = (Index("ix_alerts_cause_resolved", "cause", "resolved_at"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    cause: Mapped[str] = mapped_column(String(160))
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    rollout_id: Mapped[int | None] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"))
    digest: Mapped[str | None] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    opened_at: Mapped[int]
    seen_at: Mapped[int]
    count: Mapped[int]
    acked_at: Mapped[int | None]
    acked_by: Mapped[str | None] = mapped_column(String(64))
    resolved_at: Mapped[int | None]
