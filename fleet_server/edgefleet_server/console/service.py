"""Gathers what the console shows."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.schemas import alert_schema
from edgefleet_server.audit import service as audit
from edgefleet_server.audit.schemas import audit_schema
from edgefleet_server.console.schemas import Served, Snapshot
from edgefleet_server.devices import routes as device_routes
from edgefleet_server.devices import service as devices
from edgefleet_server.devices.groups import Selector
from edgefleet_server.fleet import Fleet
from edgefleet_server.releases.models import Release
from edgefleet_server.rollouts import routes as rollout_routes
from edgefleet_server.rollouts import service as rollouts
from edgefleet_server.telemetry import drift
from edgefleet_server.telemetry import service as telemetry
from edgefleet_server.telemetry.schemas import DriftSchema
from edgefleet_server.users.roles import Principal
from edgefleet_server.users.schemas import me_schema

_DEVICES = 200
_ROLLOUTS = 5
_RECENT = 30


def snapshot(session: Session, fleet: Fleet, viewer: Principal) -> Snapshot:
    """The fleet as it is now, for whoever looks."""
    shown = devices.devices(session, Selector(None), after="", limit=_DEVICES)
    served = telemetry.totals(session, [device.id for device in shown])
    return Snapshot(
        me=me_schema(viewer),
        now=fleet.clock(),
        broker_connected=fleet.broker_connected(),
        devices_url=fleet.devices_url,
        devices_by_state=devices.state_counts(session),
        devices=device_routes.describe(session, shown),
        served={
            device: Served(inferences=inferences, errors=errors) for device, (inferences, errors) in served.items()
        },
        releases=session.scalar(select(func.count(Release.id))) or 0,
        rollouts=[rollout_routes.detail(session, rollout) for rollout in rollouts.rollouts(session)[:_ROLLOUTS]],
        alerts=[alert_schema(alert) for alert in alerts.alerts(session, everything=False)],
        drift=[DriftSchema.model_validate(verdict) for verdict in drift.verdicts(session)],
        recent=[audit_schema(entry) for entry in audit.newest(session, _RECENT)],
    )
