"""What the API says of the audit log."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from edgefleet_server.audit.models import AuditEntry
from edgefleet_server.rollouts.models import rollout_label


class AuditSchema(BaseModel):
    """One act; ``id`` is the order, ``hash`` that of the chain.

    Attributes:
        origin: The address from which; null: from inside, or through the broker.
    """

    id: int
    at: int
    actor: str
    act: str
    device: str | None
    rollout: str | None
    origin: str | None
    details: dict[str, Any]
    hash: str


def audit_schema(entry: AuditEntry) -> AuditSchema:
    """Describe an entry."""
    return AuditSchema(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        act=entry.act,
        device=entry.device_id,
        rollout=rollout_label(entry.rollout_id) if entry.rollout_id is not None else None,
        origin=entry.origin,
        details=entry.details,
        hash=entry.hash,
    )
