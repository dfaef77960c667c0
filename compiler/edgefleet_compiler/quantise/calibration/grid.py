"""What a uniform quantiser stores of a range, zero included, for many ranges at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grids:
    """Quantisers: real = scale * (stored - zero_point), where stored is 0..steps.

    Attributes:
        scales: Shape (quantisers, 1).
        zero_points: Whole numbers, shape (quantisers, 1).
        steps: One less than the numbers that can be stored: 255 with 8 bits.
    """

    scales: Floats
    zero_points: Floats
    steps: int

    @staticmethod
    def of_ranges(lows: Floats, highs: Floats, bits: int) -> Grids:
        """The quantisers of ranges, as ``parameters.parameters_of_range`` makes them.

        Args:
            lows: At most 0, shape (quantisers,).
            highs: At least 0, shape (quantisers,), and larger than ``lows``.
            bits: Of the stored numbers.
        """
        steps = 2**bits - 1
        scales = (highs - lows)[:, np.newaxis] / steps
        return Grids(scales, np.rint(-lows[:, np.newaxis] / scales), steps)

    @property
    def lows(self) -> Floats:
        """The smallest value of each, shape (quantisers, 1)."""
        return -self.zero_points * self.scales

    @property
    def highs(self) -> Floats:
        """The largest value of each, shape (quantisers, 1)."""
        return (self.steps - self.zero_points) * self.scales


def pairs(lows: Floats, highs: Floats) -> tuple[Floats, Floats]:
    """Every low end with every high end once, but for ranges of nothing; both of shape (pairs,)."""
    low, high = (ends.ravel() for ends in np.meshgrid(np.unique(lows), np.unique(highs), indexing="ij"))
    spans = high > low
    return low[spans], high[spans]
