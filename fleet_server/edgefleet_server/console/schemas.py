"""What the console's page is made of, in one answer."""

from __future__ import annotations

from pydantic import BaseModel

from edgefleet_server.alerts.schemas import AlertSchema
from edgefleet_server.audit.schemas import AuditSchema
from edgefleet_server.devices.schemas import DeviceSchema
from edgefleet_server.rollouts.schemas import RolloutDetail
from edgefleet_server.telemetry.schemas import DriftSchema
from edgefleet_server.users.schemas import Me


class Served(BaseModel):
    """What a device has served, over all telemetry that is kept."""

    inferences: int
    errors: int


class Snapshot(BaseModel):
    """The fleet as it is now; long lists are cut, their totals are not.

    Attributes:
        me: Whoever looks; the page hides what they may not do.
        now: The server's clock, so that the page shows ages by it.
        devices_by_state: All devices.
        releases: How many there are.
        recent: The newest audit entries, the newest first.
    """

    me: Me
    now: int
    broker_connected: bool
    devices_url: str
    devices_by_state: dict[str, int]
    devices: list[DeviceSchema]
    served: dict[str, Served]
    releases: int
    rollouts: list[RolloutDetail]
    alerts: list[AlertSchema]
    drift: list[DriftSchema]
    recent: list[AuditSchema]
