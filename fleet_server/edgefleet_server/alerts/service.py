"""Alerts: one open alert for a cause, counted when seen again, resolved when the cause goes away."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edgefleet_contract.errors import NotFound
from edgefleet_server.alerts.models import Alert
from edgefleet_server.audit.change import Change


def raise_alert(
    change: Change,
    *,
    kind: str,
    cause: str,
    text: str,
    device: str | None = None,
    rollout: int | None = None,
    digest: str | None = None,
    details: dict[str, Any] | None = None,
) -> Alert:
    """Open an alert for ``cause``; where one is open already, that one is counted and brought up to date."""
    alert = _open_alert(change.session, cause)
    if alert is None:
        alert = Alert(
            kind=kind, cause=cause, device_id=device, rollout_id=rollout, digest=digest, opened_at=change.now, count=0
        )
        change.session.add(alert)
        change.record("alert.opened", device=device, rollout=rollout, kind=kind, text=text)
    alert.text = text
    alert.details = details or {}
    alert.seen_at = change.now
    alert.count += 1
    return alert


def resolve(change: Change, cause: str) -> None:
    """The cause has gone away."""
    alert = _open_alert(change.session, cause)
    if alert is not None:
        alert.resolved_at = change.now
        change.record("alert.resolved", device=alert.device_id, rollout=alert.rollout_id, kind=alert.kind)


def acknowledge(change: Change, alert_id: int) -> Alert:
    """Somebody took note.

    Raises:
        NotFound: There is no such alert.
    """
    alert = change.session.get(Alert, alert_id)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id}", remedy="`edgefleet alert list` shows them.")
    if alert.acked_at is None:
        alert.acked_at, alert.acked_by = change.now, change.actor
        change.record("alert.acknowledged", device=alert.device_id, rollout=alert.rollout_id, alert=alert_id)
    return alert


def alerts(session: Session, *, everything: bool) -> list[Alert]:
    """Alerts, the newest first: those that are neither resolved nor acknowledged, or all."""
    query = select(Alert).order_by(Alert.id.desc())
    if not everything:
        query = query.where(Alert.resolved_at.is_(None), Alert.acked_at.is_(None))
    return list(session.scalars(query.limit(1000)))


def open_counts(session: Session) -> dict[str, int]:
    """Open alerts that nobody acknowledged, by kind."""
    query = (
        select(Alert.kind, func.count())
        .where(Alert.resolved_at.is_(None), Alert.acked_at.is_(None))
        .group_by(Alert.kind)
    )
    return dict(session.execute(query).all())


def _open_alert(session: Session, cause: str) -> Alert | None:
    return session.scalars(select(Alert).where(Alert.cause == cause, Alert.resolved_at.is_(None))).first()
