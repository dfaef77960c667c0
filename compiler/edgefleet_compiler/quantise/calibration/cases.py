"""The extremes of activations case by case: what one case more or less does to a range.

Memory does not grow with the cases: all is updated as they come, but for the median, which a bounded number of evenly
spread cases makes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_KEPT = 1024  # cases for the median at most; a power of two, halved again and again, stays evenly spread

LEAD = 0.05
"""By which share of a range a case has to widen it alone to count as leading."""

Floats = NDArray[np.float32]


class Extremes:
    """The extremes of each activation over cases.

    Args:
        starts: Where the channels of each activation begin among those of all, shape (activations,).
    """

    def __init__(self, starts: NDArray[np.intp]) -> None:
        count = len(starts)
        self.cases = 0
        self._starts = starts
        # The ends of ranges as largest values: the negated minima, then the maxima.
        self._largest = np.full(2 * count, -np.inf, np.float32)
        self._second = self._largest.copy()
        self._holder = np.zeros(2 * count, np.intp)
        self._reach = np.zeros(count, np.float32)
        self._reach_case = np.zeros(count, np.intp)
        self._second_reach = np.zeros(count, np.float32)
        self._kept = np.zeros((_KEPT, count), np.float32)
        self._every = 1

    def add(self, lows: Floats, highs: Floats) -> Floats:
        """Take in one case.

        Args:
            lows: The minimum of each channel of all activations.
            highs: The maximum.

        Returns:
            The largest magnitude of each activation in this case.
        """
        starts = self._starts
        ends = np.concatenate([-np.minimum.reduceat(lows, starts), np.maximum.reduceat(highs, starts)])
        np.maximum(self._second, np.minimum(self._largest, ends), out=self._second)
        self._holder[ends > self._largest] = self.cases
        np.maximum(self._largest, ends, out=self._largest)
        reach: Floats = np.abs(ends).reshape(2, -1).max(axis=0)
        self._reach_case[reach > self._reach] = self.cases
        np.maximum(self._second_reach, np.minimum(self._reach, reach), out=self._second_reach)
        np.maximum(self._reach, reach, out=self._reach)
        self._keep(reach)
        self.cases += 1
        return reach

    def _keep(self, reach: Floats) -> None:
        index, rest = divmod(self.cases, self._every)
        if rest:
            return
        if index == _KEPT:
            self._kept[: _KEPT // 2] = self._kept[::2]
            self._every *= 2
            index //= 2
        self._kept[index] = reach

    def reaches(self) -> list[tuple[float, int, float, float]]:
        """Of each activation the largest magnitude and its case, that of the next case, and the median over cases."""
        kept = -(-self.cases // self._every)
        medians = np.median(self._kept[:kept], axis=0)
        columns = self._reach.tolist(), self._reach_case.tolist(), self._second_reach.tolist(), medians.tolist()
        return list(zip(*columns, strict=True))

    def leading(self) -> int:
        """How many cases alone widen the range of some activation by more than ``LEAD``."""
        ends, others = np.maximum(self._largest, 0.0), np.maximum(self._second, 0.0)
        leads = ends - others
        widths = ends.reshape(2, -1).sum(axis=0)
        alone = leads > LEAD * (np.tile(widths, 2) - leads)
        return len(set(self._holder[alone].tolist()))
