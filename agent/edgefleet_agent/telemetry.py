"""Telemetry windows: what inference did in each stretch of time, as one record a window for the spool."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edgefleet_agent.clock import Clock
from edgefleet_agent.latency import LatencySketch
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch


class Telemetry:
    """Counts the inferences of the window that is open. Its methods may be called from any thread.

    Args:
        clock: For the bounds of windows.
        boot: Name of this life of the agent.
        interval_s: Length of a window.
    """

    def __init__(self, clock: Clock, boot: str, interval_s: float) -> None:
        self._clock = clock
        self._boot = boot
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._n = 0
        self._open_window()

    def count(self, milliseconds: Sequence[float]) -> None:
        """Count inferences by the time that each took."""
        with self._lock:
            for value in milliseconds:
                self._latency.add(value)
            self._inferences += len(milliseconds)

    def count_error(self) -> None:
        """Count a request that the model failed on."""
        with self._lock:
            self._errors += 1

    @property
    def is_due(self) -> bool:
        """Whether the window has lasted as long as it should."""
        return self._clock.monotonic() >= self._ends

    def close_window(self, digest: str, sketch: Sketch | None) -> TelemetryRecord:
        """The record of the open window; a new one opens.

        Args:
            digest: The bundle that ran in it.
            sketch: Of its inputs.
        """
        with self._lock:
            self._n += 1
            record = TelemetryRecord(
                n=self._n,
                boot=self._boot,
                digest=digest,
                start=self._start,
                end=self._clock.now_ms(),
                inferences=self._inferences,
                errors=self._errors,
                latency=self._latency.percentiles(),
                sketch=sketch,
            )
            self._open_window()
            return record

    def _open_window(self) -> None:
        self._start = self._clock.now_ms()
        self._ends = self._clock.monotonic() + self._interval_s
        self._inferences = self._errors = 0
        self._latency = LatencySketch()
