"""What the API says of alerts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from edgefleet_server.alerts.models import Alert
from edgefleet_server.rollouts.models import rollout_label


class AlertSchema(BaseModel):
    """An alert.

    Attributes:
        kind: drift, halted, rollback, offline, storage, expiry or trust.
        state: open, acknowledged or resolved.
        count: How often the cause was seen.
    """

    id: int
    kind: str
    state: str
    text: str
    device: str | None
    rollout: str | None
    digest: str | None
    details: dict[str, Any]
    opened_at: int
    seen_at: int
    count: int
    acked_at: int | None
    acked_by: str | None
    resolved_at: int | None


def alert_schema(alert: Alert) -> AlertSchema:
    """Describe an alert."""
    state = "resolved" if alert.resolved_at is not None else "acknowledged" if alert.acked_at is not None else "open"
    return AlertSchema(
        id=alert.id,
        kind=alert.kind,
        state=state,
        text=alert.text,
        device=alert.device_id,
        rollout=rollout_label(alert.rollout_id) if alert.rollout_id is not None else None,
        digest=alert.digest,
        details=alert.details,
        opened_at=alert.opened_at,
        seen_at=alert.seen_at,
        count=alert.count,
        acked_at=alert.acked_at,
        acked_by=alert.acked_by,
        resolved_at=alert.resolved_at,
    )
