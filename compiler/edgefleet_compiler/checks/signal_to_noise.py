"""Signal to noise ratio over cases, gathered one case at a time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class SignalToNoise:
    """Noise power of an output, and the reference's variance over the cases by Welford's method (1962).

    Args:
        size: Elements of one case; memory is one float64 for each.
    """

    def __init__(self, size: int) -> None:
        self._n = 0
        self._mean = np.zeros(size, np.float64)
        self._signal = 0.0
        self._noise = 0.0

    def add(self, reference: NDArray[np.generic], compiled: NDArray[np.generic]) -> float:
        """Add one case.

        Returns:
            The largest absolute difference; infinity where an output is not a number.
        """
        expected, seen = reference.reshape(-1).astype(np.float64), compiled.reshape(-1).astype(np.float64)
        self._n += 1
        with np.errstate(invalid="ignore", over="ignore"):  # outputs that are no numbers make the result infinite
            delta = expected - self._mean
            self._mean += delta / self._n
            self._signal += float((delta * (expected - self._mean)).sum())
            noise = np.abs(seen - expected)
            self._noise += float(np.square(noise).sum())
        largest = float(noise.max(initial=0.0))
        return math.inf if math.isnan(largest) else largest

    def decibels(self) -> float | None:
        """The ratio with the reference's mean over the cases removed; None where either power is zero."""
        if self._signal <= 0 or self._noise <= 0 or not math.isfinite(self._signal / self._noise):
            return None
        return 10 * math.log10(self._signal / self._noise)
