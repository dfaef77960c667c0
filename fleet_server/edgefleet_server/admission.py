"""What comes from devices, taken from the connection in batches; what is more than a device's share stays outside."""

from __future__ import annotations

import logging
import queue

from sqlalchemy.exc import OperationalError

from edgefleet_contract import topics
from edgefleet_contract.errors import ServerDiskFailed
from edgefleet_server.alerts import senders
from edgefleet_server.audit.change import Change
from edgefleet_server.clock import MINUTE, Clock
from edgefleet_server.db import Database
from edgefleet_server.metrics import Metrics
from edgefleet_server.mqtt import Connection, Incoming
from edgefleet_server.quota import Quota

_log = logging.getLogger(__name__)
BATCH = 200  # messages
_STORED = 10.0  # tokens a second: 40 KiB of telemetry, whose hour takes 1.3 KiB, or ten reports
_ASKED = 200.0  # requests a second: a download of 100 MB/s


class Admission:
    """Stands before the ingest.

    Args:
        database: Takes the alert of a flood.
        clock: UTC milliseconds.
        metrics: Counts what is refused.
    """

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._stored = Quota(clock, _STORED)
        self._asked = Quota(clock, _ASKED)
        self._told: dict[str, int] = {}

    def next_batch(self, connection: Connection) -> list[Incoming]:
        """Wait a little for the first message, then take what is there and may come in.

        What may not is acknowledged to the broker, so that it makes room, and not to the device, which sends it again.
        """
        arrived: list[Incoming] = []
        try:
            arrived.append(connection.incoming.get(timeout=0.2))
            while len(arrived) < BATCH:
                arrived.append(connection.incoming.get_nowait())
        except queue.Empty:
            pass
        batch = self.admitted(arrived)
        kept = {id(message) for message in batch}
        for message in arrived:
            if id(message) not in kept:
                connection.acknowledge(message)
        return batch

    def admitted(self, arrived: list[Incoming]) -> list[Incoming]:
        """Those of ``arrived`` that are within the share of their device."""
        batch, flooding = [], {}
        for message in arrived:
            parsed = topics.parse_up(message.topic)
            if parsed is None or self._share_of(parsed[0]).takes(parsed[1], len(message.payload)):
                batch.append(message)
            else:
                self._metrics.count_message(parsed[0].name, "over_quota")
                flooding[parsed[1]] = parsed[0].name
        for device, kind in flooding.items():
            self._tell(device, kind)
        return batch

    def _share_of(self, topic: topics.Topic) -> Quota:
        return self._asked if topic is topics.NEED else self._stored

    def _tell(self, device: str, kind: str) -> None:
        now = self._clock()
        if now - self._told.get(device, -MINUTE) < MINUTE:
            return
        _log.warning("device=%s sends more than its share of %s messages", device, kind)
        try:
            with self._database.write() as session:
                senders.tell_flood(Change(session, now, device), device)
        except (OperationalError, ServerDiskFailed) as error:  # the alert can wait; what others send cannot
            _log.error("device=%s no alert of its flood: the database failed: %s", device, error)
            return
        self._told[device] = now
