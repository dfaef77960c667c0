"""The extremes of activations case by case: what one case more or less does to a range.

Memory does not grow with the cases: all is updated as they come, but for the median, which a bounded number of evenly
spread cases makes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_KEPT = 1024  # cases for the median at most; a power of two, halved again and again, stays evenly spread

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
        self._halves = np.zeros((2, 2 * count), np.float32)
        self._largest = np.full(2 * count, -np.inf, np.float32)
        self._second = self._largest.copy()
        self._holder = np.zeros(2 * count, np.intp)
        self._reach = np.zeros(count, np.float32)
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
        half = self._halves[self.cases % 2]
        np.maximum(half, ends, out=half)
        np.maximum(self._second, np.minimum(self._largest, ends), out=self._second)
        self._holder[ends > self._largest] = self.cases
        np.maximum(self._largest, ends, out=self._largest)
        reach: Floats = np.abs(ends).reshape(2, -1).max(axis=0)
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

    def reaches(self) -> list[tuple[float, float, float]]:
        """Of each activation the largest magnitude, that of the next case, and the median over cases."""
        kept = -(-self.cases // self._every)
        medians = np.median(self._kept[:kept], axis=0)
        columns = zip(self._reach.tolist(), self._second_reach.tolist(), medians.tolist(), strict=True)
        return list(columns)

    def growth(self) -> list[float]:
        """By how much the range of all cases is wider than that of half of them, per activation; see ``Observations``.

        Empty for a single case. A range of which one half of the cases shows nothing grows twofold.
        """
        if self.cases < 2:
            return []
        halves = self._halves.astype(np.float64).reshape(2, 2, -1)
        widths = halves.sum(axis=1)
        whole = halves.max(axis=0).sum(axis=0)
        shown = widths.mean(axis=0)
        grown: list[float] = np.divide(whole - shown, shown, out=np.zeros_like(whole), where=shown > 0).tolist()
        return grown

    def leading(self) -> int:
        """How many cases alone hold an end of some range beyond zero, or with zero, for a side that has none."""
        alone = (self._largest > self._second) & (self._largest > 0)
        return len(set(self._holder[alone].tolist()))
