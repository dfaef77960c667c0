"""How much one device may send: one that floods, by fault or by malice, must not crowd the others out.

A token bucket for each device. What is refused is not acknowledged to the device, which sends it again later, so that
an honest one that has much to tell after a long silence only takes longer.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgefleet_server.clock import SECOND, Clock

# A message costs one token, and one more for each 4 KiB: what is kept of it costs the disk more than the processor.
TOKEN_BYTES = 4096
BURST = 8192  # tokens: a spool of 32 MiB at once


@dataclass
class _Bucket:
    tokens: float
    filled_at: int


class Quota:
    """The buckets of all devices.

    Args:
        clock: UTC milliseconds.
        rate: Tokens that a device earns each second.
    """

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self._rate = rate
        self._buckets: dict[str, _Bucket] = {}

    def takes(self, device: str, size: int) -> bool:
        """Whether ``device`` may send a message of ``size`` bytes now; it is charged for it if so."""
        bucket = self._filled(device)
        cost = 1 + size // TOKEN_BYTES
        if bucket.tokens < cost:
            return False
        bucket.tokens -= cost
        return True

    def _filled(self, device: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(device, _Bucket(BURST, now))
        earned = max(0, now - bucket.filled_at) * self._rate / SECOND
        bucket.tokens, bucket.filled_at = min(BURST, bucket.tokens + earned), now
        return bucket
