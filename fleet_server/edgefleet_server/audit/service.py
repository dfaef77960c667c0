"""Reading the audit log; ``change`` writes it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_server.audit.models import AuditEntry


def entries(
    session: Session, *, after: int, limit: int, device: str | None = None, rollout: int | None = None
) -> list[AuditEntry]:
    """Entries in their order, from the first one after id ``after``."""
    query = select(AuditEntry).where(AuditEntry.id > after).order_by(AuditEntry.id).limit(limit)
    if device is not None:
        query = query.where(AuditEntry.device_id == device)
    if rollout is not None:
        query = query.where(AuditEntry.rollout_id == rollout)
    return list(session.scalars(query))


def newest(session: Session, limit: int) -> list[AuditEntry]:
    """The newest entries, the newest first."""
    return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)))
