"""Percentiles of inference times in constant memory, each within 1 % of the true one.

Source: Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees"
(VLDB 2019), section 2.1: buckets whose bounds grow by a factor.
"""

from __future__ import annotations

import math

from edgefleet_contract.messages import Latency

_RELATIVE_ERROR = 0.01
_GAMMA = (1 + _RELATIVE_ERROR) / (1 - _RELATIVE_ERROR)
_SMALLEST_MS = 1e-4


class LatencySketch:
    """Counts inference times in buckets."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._n = 0
        self._max_ms = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one inference."""
        bucket = math.ceil(math.log(max(milliseconds, _SMALLEST_MS), _GAMMA))
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._n += 1
        self._max_ms = max(self._max_ms, milliseconds)

    def percentiles(self) -> Latency | None:
        """The percentiles so far; None when nothing was counted."""
        if not self._n:
            return None
        p50, p95, p99 = (min(self._quantile(share), self._max_ms) for share in (0.5, 0.95, 0.99))
        return Latency(p50, p95, p99, self._max_ms)

    def _quantile(self, share: float) -> float:
        rank, seen = share * (self._n - 1), 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen > rank:
                return 2 * _GAMMA**bucket / (_GAMMA + 1)  # the middle of the bucket, as section 2.1 has it
        return self._max_ms
