"""The clock is injected everywhere, so that tests can turn it; the product passes ``system_clock``."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]  # UTC milliseconds

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def system_clock() -> int:
    """The machine's clock in UTC milliseconds."""
    return time.time_ns() // 1_000_000


def as_datetime(milliseconds: int) -> datetime:
    """UTC milliseconds as an aware datetime, for certificates and people."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
