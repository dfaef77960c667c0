"""Operators' routes of alerts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from edgefleet_server.alerts import service
from edgefleet_server.alerts.schemas import AlertSchema, alert_schema
from edgefleet_server.auth import OperatorRole, Viewer
from edgefleet_server.fleet import FleetHere

AlertId = Annotated[int, Path(ge=1, lt=1 << 63)]

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])


@router.get("")
def list_alerts(
    fleet: FleetHere,
    _viewer: Viewer,
    all: bool = False,  # noqa: A002 - the name of the query parameter
) -> list[AlertSchema]:
    """Alerts that nobody has acknowledged and that are not resolved, or all; the newest first."""
    with fleet.database.read() as session:
        return [alert_schema(alert) for alert in service.alerts(session, everything=all)]


@router.post("/{alert_id}/ack")
def acknowledge(fleet: FleetHere, operator: OperatorRole, alert_id: AlertId) -> AlertSchema:
    """Somebody took note; the alert does not come back until its cause has gone and returned."""
    with fleet.change(operator) as change:
        return alert_schema(service.acknowledge(change, alert_id))
