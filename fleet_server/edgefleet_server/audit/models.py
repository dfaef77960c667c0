"""The table of the audit log."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from edgefleet_server.db import Base, Identity


class AuditEntry(Base):
    """One act. Written in the transaction of the act, so that neither exists without the other.

    Attributes:
        id: The order.
        actor: "admin", "policy", or a device id.
        act: What was done, as ``noun.verb``.
        device_id, rollout_id: What it was done to; no foreign keys, for the log outlives its subjects.
    """

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(String(64))
    act: Mapped[str] = mapped_column(String(64), index=True)
    device_id: Mapped[str | None] = mapped_column(String(18), index=True)
    rollout_id: Mapped[int | None] = mapped_column(index=True)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
