"""Which requests become raw samples, by the bundle's sampling policy. None unless the publisher asks for them.

Without a consent in the policy a sample stays on the device, for whoever has access to it. With one it is redacted and
sealed to the key that the consent names, and what lies here until it is sent nobody on this device can open.
"""

from __future__ import annotations

import logging
import secrets
import threading
from pathlib import Path

import msgspec

from edgefleet_agent.clock import Clock
from edgefleet_agent.disk import Disk
from edgefleet_agent.sealer import Sealer
from edgefleet_contract.errors import DiskFailed
from edgefleet_contract.manifest import Manifest

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_STEPS = 1 << 30
KEPT_BYTES = 64 * 1024 * 1024  # the oldest make room


class _Spent(msgspec.Struct, frozen=True):
    """How many samples a day has had; a file, for a restart must not give a new allowance."""

    day: int = 0
    samples: int = 0


class Sampler:
    """Takes samples. Its methods may be called from any thread.

    Args:
        folder: Where samples that stay here lie, as ``DAY-NUMBER.json``.
        disk: The door.
        clock: For the days.
        sealer: Takes those that may be sent.
    """

    def __init__(self, folder: Path, disk: Disk, clock: Clock, sealer: Sealer) -> None:
        self._folder = folder
        self._disk = disk
        self._clock = clock
        self._sealer = sealer
        self._lock = threading.Lock()
        self._spent_path = folder / "spent"

    def offer(self, body: bytes, digest: str, manifest: Manifest) -> None:
        """Take a request as a sample, if the policy and its day's allowance say so.

        Args:
            body: As it came.
            digest: Of the bundle that answered.
            manifest: Of that bundle.
        """
        policy = manifest.sampling
        if secrets.randbelow(_STEPS) >= policy.rate * _STEPS:
            return
        with self._lock:
            day = self._clock.now_ms() // _DAY_MS
            spent = self._spent(day)
            if spent.samples >= policy.max_per_day:
                return
            try:
                self._disk.make_folder(self._folder)
                self._disk.write(self._spent_path, msgspec.json.encode(_Spent(day, spent.samples + 1)))
                if policy.consent is msgspec.UNSET:
                    self._keep(body, f"{day:06d}-{spent.samples + 1:06d}.json")
                elif not self._sealer.offer(body, digest, manifest):
                    log.info("sample left out: others are still being sealed")
            except DiskFailed as error:
                log.warning("sample lost: %s", error)

    def _spent(self, day: int) -> _Spent:
        try:
            spent = msgspec.json.decode(self._spent_path.read_bytes(), type=_Spent)
        except (OSError, msgspec.DecodeError):
            spent = _Spent()
        return spent if spent.day == day else _Spent(day)

    def _keep(self, body: bytes, name: str) -> None:
        kept = sorted(self._folder.glob("*.json"))
        total = sum(path.stat().st_size for path in kept)
        while kept and total + len(body) > KEPT_BYTES:
            total -= kept[0].stat().st_size
            self._disk.remove(kept.pop(0))
        self._disk.write(self._folder / name, body)
