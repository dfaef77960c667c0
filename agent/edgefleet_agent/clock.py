"""The clocks of a device. Everything takes one as an argument, so that tests can turn it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the agent asks of time."""

    def now_ms(self) -> int:
        """UTC milliseconds; shown and compared with expiries, never used as order."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back; for timers."""


class SystemClock:
    """The clocks of the operating system."""

    def now_ms(self) -> int:
        """UTC milliseconds of the system clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()
