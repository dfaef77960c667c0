"""Retention: what is older than its time is deleted every hour."""

from __future__ import annotations

import logging

from sqlalchemy import delete, func, select

from edgefleet_server.clock import DAY, HOUR, Clock
from edgefleet_server.db import Database
from edgefleet_server.erasure.terms import Terms
from edgefleet_server.samples import service as samples
from edgefleet_server.telemetry.models import SketchHour, TelemetryRecord

_log = logging.getLogger(__name__)


class Retention:
    """Deletes what is over its time."""

    def __init__(self, database: Database, clock: Clock, terms: Terms) -> None:
        self._database = database
        self._clock = clock
        self._terms = terms

    def delete_old(self) -> None:
        """Delete it, an hour's telemetry at a time, so that nobody waits long for the database."""
        now = self._clock()
        before = now - self._terms.telemetry * DAY
        while (oldest := self._oldest_window()) is not None and oldest < before:
            with self._database.write() as session:
                until = min(before, oldest + HOUR)
                session.execute(delete(TelemetryRecord).where(TelemetryRecord.received_at < until))
        with self._database.write() as session:
            session.execute(delete(SketchHour).where(SketchHour.hour < before // HOUR))
            gone = samples.delete_expired(session, now, now - self._terms.samples * DAY)
        if gone:
            _log.info("samples deleted after their time: %d", gone)
        self._database.scrub()

    def _oldest_window(self) -> int | None:
        with self._database.read() as session:
            return session.scalar(select(func.min(TelemetryRecord.received_at)))
