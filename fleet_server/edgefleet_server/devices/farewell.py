"""Lets the broker forget what it retains for devices that have left the fleet."""

from __future__ import annotations

from sqlalchemy import select, update

from edgefleet_contract import topics
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database
from edgefleet_server.devices.models import ACTIVE, Device
from edgefleet_server.mqtt import Connection

_PAGE = 200
_PUBACK_TIMEOUT = 20.0  # seconds
RETAINED = tuple(row for row in topics.TOPICS if row.direction == "down" and row.retain)


class Farewell:
    """Clears the retained messages of each device that left, once the broker is there to hear it."""

    def __init__(self, database: Database, clock: Clock, connection: Connection) -> None:
        self._database = database
        self._clock = clock
        self._connection = connection

    def clear_due(self) -> None:
        """Publish an empty message to every retained topic of those that left; it is marked when the broker has it."""
        while self._connection.is_connected and (gone := self._due()):
            for device in gone:
                sent = [
                    # An empty retained message removes the retained one (MQTT 3.1.1, section 3.3.1.3).
                    self._connection.publish(topics.of(row, device), b"", row.qos, retain=True)
                    for row in RETAINED
                ]
                if not all(self._connection.is_delivered(info, _PUBACK_TIMEOUT) for info in sent):
                    return
                with self._database.write() as session:
                    session.execute(update(Device).where(Device.id == device).values(cleared_at=self._clock()))

    def _due(self) -> list[str]:
        query = select(Device.id).where(Device.standing != ACTIVE, Device.cleared_at.is_(None)).limit(_PAGE)
        with self._database.read() as session:
            return list(session.scalars(query))
