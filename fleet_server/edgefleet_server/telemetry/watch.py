"""Evaluates drift where sketches have changed, apart from the ingest thread, which must not wait for it."""

from __future__ import annotations

import threading

from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database
from edgefleet_server.telemetry import drift
from edgefleet_server.telemetry.references import References


class DriftWatch:
    """Remembers which devices and bundles have new sketches."""

    def __init__(self, database: Database, clock: Clock, references: References) -> None:
        self._database = database
        self._clock = clock
        self._references = references
        self._changed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def note(self, changed: set[tuple[str, str]]) -> None:
        """These devices and digests have new sketches."""
        with self._lock:
            self._changed |= changed

    def evaluate_changed(self) -> None:
        """Compare each of them anew, in a transaction of its own."""
        with self._lock:
            changed, self._changed = self._changed, set()
        for device, digest in sorted(changed):
            with self._database.write() as session:
                drift.evaluate(Change(session, self._clock(), POLICY), device, digest, self._references)
