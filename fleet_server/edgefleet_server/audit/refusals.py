"""Refused acts and failed sign-ins, in the audit log, but not so many that an attacker could fill the disk."""

from __future__ import annotations

import threading
from typing import Any

from edgefleet_server.core import Core
from edgefleet_server.rate_limits import RateLimits, site_of


class Refusals:
    """Writes refusals down, as far as the limits let it; the next one that is written tells how many were not."""

    def __init__(self, core: Core, limits: RateLimits) -> None:
        self._core = core
        self._limits = limits
        self._lock = threading.Lock()
        self._untold = 0

    def record(self, act: str, actor: str, origin: str | None, **details: Any) -> None:
        """Note that ``actor`` was refused ``act``."""
        if not (self._limits.refusals.allows(site_of(origin)) and self._limits.all_refusals.allows("")):
            with self._lock:
                self._untold += 1
            return
        with self._lock:
            untold, self._untold = self._untold, 0
        if untold:
            details["untold_before"] = untold
        with self._core.change(actor, origin) as change:
            change.record(act, **details)
