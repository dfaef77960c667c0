"""Reading the audit log; ``change`` writes it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from edgefleet_server.audit.models import AuditEntry


@dataclass(frozen=True)
class Acts:
    """Which acts are looked for: those on a device, on a rollout, or all."""

    device: str | None = None
    rollout: int | None = None

    def query(self) -> Select[AuditEntry]:
        """The entries, in no order."""
        query = select(AuditEntry)
        if self.device is not None:
            query = query.where(AuditEntry.device_id == self.device)
        if self.rollout is not None:
            query = query.where(AuditEntry.rollout_id == self.rollout)
        return query


ALL = Acts()


def entries(session: Session, acts: Acts = ALL, *, after: int, limit: int) -> list[AuditEntry]:
    """Entries in their order, from the first one after id ``after``."""
    return list(session.scalars(acts.query().where(AuditEntry.id > after).order_by(AuditEntry.id).limit(limit)))


def newest(session: Session, limit: int, acts: Acts = ALL, *, before: int | None = None) -> list[AuditEntry]:
    """The newest entries, or the newest of those before id ``before``; the newest first."""
    query = acts.query().order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return list(session.scalars(query))
