"""Devices that have fallen silent."""

from __future__ import annotations

from sqlalchemy import select

from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.models import Alert
from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.clock import DAY, HOUR, Clock
from edgefleet_server.db import Database
from edgefleet_server.devices.models import ACTIVE, Device

SILENT_AFTER = DAY  # an idle device says little, yet something within a day


class OfflineWatch:
    """Opens an alert for each device that is silent, and resolves it when it is heard again."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def look(self) -> None:
        """Compare what was heard last with the clock."""
        now = self._clock()
        with self._database.write() as session:
            change = Change(session, now, POLICY)
            silent = select(Device.id, Device.last_seen).where(
                Device.last_seen < now - SILENT_AFTER, Device.standing == ACTIVE
            )
            for device, last_seen in session.execute(silent).all():
                assert last_seen is not None
                alerts.raise_alert(
                    change,
                    kind="offline",
                    cause=f"offline:{device}",
                    text=f"Device {device} has been silent for {(now - last_seen) // HOUR} hours",
                    device=device,
                )
            heard = (
                select(Alert.cause)
                .join(Device, Device.id == Alert.device_id)
                .where(Alert.kind == "offline", Alert.resolved_at.is_(None), Device.last_seen >= now - SILENT_AFTER)
            )
            for cause in session.scalars(heard).all():
                alerts.resolve(change, cause)
