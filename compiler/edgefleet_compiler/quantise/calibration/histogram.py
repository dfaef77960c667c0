"""Histograms of a stream of numbers whose range is not known beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 2048
"""Bins on either side of zero. The larger side uses at least half of them."""

_SIDE_BITS = SIDE.bit_length() - 1
_LEAST_EXPONENT = -100  # reciprocals of narrower bins would leave float32; what is smaller counts into the first bins


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of one width, of which zero is an edge.

    Attributes:
        width: Of each bin, a power of two; 0 without bins.
        first: The first bin spans ``first * width`` to ``(first + 1) * width``; the others follow.
        counts: Of the bins, shape (bins,), float64; the first and the last are not empty.
        zeros: How many numbers were exactly zero; they are in no bin, because quantisation keeps them as they are.
    """

    width: float
    first: int
    counts: NDArray[np.float64]
    zeros: int

    @property
    def edges(self) -> NDArray[np.float64]:
        """The borders of the bins, shape (bins + 1,)."""
        return np.arange(self.first, self.first + len(self.counts) + 1, dtype=np.float64) * self.width

    @property
    def total(self) -> float:
        """How many numbers were counted, zeros included."""
        return float(self.counts.sum()) + self.zeros


class GrowingHistogram:
    """Counts numbers into bins that double their width, merging in pairs, whenever a larger number comes.

    Merging is exact, and the width depends on the largest magnitude alone: the order of the numbers does not matter.
    """

    def __init__(self) -> None:
        self._sides = np.zeros((2, SIDE), np.int64)  # negative and positive numbers, from zero outwards
        self._exponent: int | None = None
        self._zeros = 0

    def add(self, values: NDArray[np.float32], reach: float) -> None:
        """Count numbers.

        Args:
            values: Finite numbers, of any shape.
            reach: At least the largest magnitude among them.
        """
        zeros = values.size - int(np.count_nonzero(values))
        self._zeros += zeros
        if reach == 0:
            return
        self._grow_to(max(math.frexp(reach)[1], _LEAST_EXPONENT))
        assert self._exponent is not None
        per_width = np.float32(math.ldexp(1.0, _SIDE_BITS - self._exponent))
        bins = np.floor(values.ravel() * per_width).astype(np.intp)  # exact: the factor is a power of two
        counts = np.bincount(bins + SIDE, minlength=2 * SIDE)
        counts[SIDE] -= zeros
        self._sides[0] += counts[SIDE - 1 :: -1]
        self._sides[1] += counts[SIDE:]

    def _grow_to(self, exponent: int) -> None:
        """Let the bins reach to 2 ** exponent."""
        if self._exponent is None:
            self._exponent = exponent
        doublings = min(exponent - self._exponent, _SIDE_BITS)
        if doublings > 0:
            merged = self._sides.reshape(2, SIDE >> doublings, 1 << doublings).sum(axis=2)
            self._sides[:] = 0
            self._sides[:, : merged.shape[1]] = merged
            self._exponent = exponent

    def result(self) -> Histogram:
        """The counts so far."""
        counts = np.concatenate([self._sides[0, ::-1], self._sides[1]])
        filled = np.flatnonzero(counts)
        if self._exponent is None or not len(filled):
            return Histogram(0.0, 0, np.zeros(0), self._zeros)
        first, last = int(filled[0]), int(filled[-1])
        width = math.ldexp(1.0, self._exponent - _SIDE_BITS)
        return Histogram(width, first - SIDE, counts[first : last + 1].astype(np.float64), self._zeros)
