"""Raw samples: inputs kept on the device by the bundle's sampling policy. Off unless the publisher asks for them.

What is kept stays here, for whoever has access to the device; nothing of it is sent.
"""

from __future__ import annotations

import logging
import secrets
import threading
from pathlib import Path

from edgefleet_agent.clock import Clock
from edgefleet_agent.disk import Disk
from edgefleet_contract.errors import DiskFailed
from edgefleet_contract.manifest import SamplingPolicy

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_STEPS = 1 << 30
KEPT_BYTES = 64 * 1024 * 1024  # the oldest make room


class Sampler:
    """Keeps request bodies. Its methods may be called from any thread.

    Args:
        folder: Where samples lie, as ``DAY-NUMBER.json``.
        disk: The door.
        clock: For the days.
    """

    def __init__(self, folder: Path, disk: Disk, clock: Clock) -> None:
        self._folder = folder
        self._disk = disk
        self._clock = clock
        self._lock = threading.Lock()

    def offer(self, body: bytes, policy: SamplingPolicy) -> None:
        """Keep a request's body, if the policy and its day's allowance say so.

        Args:
            body: As it came.
            policy: Of the bundle that answered.
        """
        if secrets.randbelow(_STEPS) >= policy.rate * _STEPS:
            return
        with self._lock:
            day = self._clock.now_ms() // _DAY_MS
            kept_today = sorted(self._folder.glob(f"{day:06d}-*.json"))
            if len(kept_today) >= policy.max_per_day:
                return
            number = 1 + int(kept_today[-1].stem.partition("-")[2]) if kept_today else 1
            try:
                self._disk.make_folder(self._folder)
                self._make_room(len(body))
                self._disk.write(self._folder / f"{day:06d}-{number:06d}.json", body)
            except DiskFailed as error:
                log.warning("sample lost: %s", error)

    def _make_room(self, size: int) -> None:
        kept = sorted(self._folder.glob("*.json"))
        total = sum(path.stat().st_size for path in kept)
        while kept and total + size > KEPT_BYTES:
            total -= kept[0].stat().st_size
            self._disk.remove(kept.pop(0))
