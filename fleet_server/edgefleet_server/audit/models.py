"""The table of the audit log."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from edgefleet_server.db import Base, Identity


class AuditEntry(Base):
    """One act. Written in the transaction of the act, so that neither exists without the other.

    Attributes:
        id: The order; given by ``sealing``, with the hash, when the entry is written.
        actor: A principal's name, "policy", or a device id.
        act: What was done, as ``noun.verb``.
        device_id, rollout_id: What it was done to; no foreign keys, for the log outlives its subjects.
        origin: The address from which; None: from inside, or through the broker.
        hash: Of this entry and of all before it, in hexadecimal; see ``chain``.
    """

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(Identity, primary_key=True, autoincrement=False)
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(String(80))
    act: Mapped[str] = mapped_column(String(64), index=True)
    device_id: Mapped[str | None] = mapped_column(String(18), index=True)
    rollout_id: Mapped[int | None] = mapped_column(index=True)
    origin: Mapped[str | None] = mapped_column(String(45))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    hash: Mapped[str] = mapped_column(String(64))
