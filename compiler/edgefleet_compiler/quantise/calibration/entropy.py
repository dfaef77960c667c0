"""The range that loses the least information, by Kullback and Leibler's divergence.

Source: Migacz 2017, "8-bit Inference with TensorRT", GPU Technology Conference, slides 26 to 38, for ranges with two
ends. The reference P is the histogram with what lies beyond the range added to its outermost bins that hold anything.
The candidate Q is what is left of the histogram after quantisation: the values within the range that fall on one level
are spread evenly over those bins of the level that hold anything. The divergence sums P log(P / Q). Exact zeros take no
part, since each quantiser keeps them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.calibration.grid import Floats, Grids, pairs
from edgefleet_compiler.quantise.calibration.histogram import Histogram

LEFT_OUT = 0.01
"""Share of the values, zeros aside, that a range may leave out at most."""

_VALUES_PER_LEVEL = 8
_ENDS = 24  # ends tried on either side where both have values
_ENDS_ALONE = 256  # where one has
_ROUNDS = 3


def entropy_range(histogram: Histogram, low: float, high: float, bits: int) -> tuple[float, float]:
    """Find the range.

    Like the source, no range is tried that spans fewer bins than the quantiser has levels: it would lose nothing
    inside, whatever it is. Unlike it, none is tried beyond which more than ``LEFT_OUT`` of the values lie: what a range
    leaves out is added to P, so that P and Q are alike where hardly anything is left inside. The whole range stays
    where no other spans as many bins, say with 16 bits, or where there are too few values to tell distributions.

    Args:
        histogram: Of the values; not empty.
        low: The end of the whole range, at most 0.
        high: Its other end, at least 0.
        bits: Of the quantiser.

    Returns:
        Both ends, within the whole range.
    """
    whole, edges = (low, high), histogram.edges
    low, high = max(low, min(edges[0], 0.0)), min(high, max(edges[-1], 0.0))  # no bins tell of what lies beyond
    if _spans(histogram, low, high) < 2**bits or histogram.counts.sum() < _VALUES_PER_LEVEL * 2**bits:
        return whole
    divergence = Divergence(histogram, bits)
    ends = _ENDS if low < 0 < high else _ENDS_ALONE
    best, centre, reach = (low, high), (0.5, 0.5), 0.5
    for _ in range(_ROUNDS):
        shares = [np.clip(np.linspace(middle - reach, middle + reach, ends + 1), 0, 1) for middle in centre]
        lows, highs = pairs(low * shares[0], high * shares[1])
        lows, highs = np.append(lows, best[0]), np.append(highs, best[1])
        least = int(divergence.of_ranges(lows, highs).argmin())
        best = float(lows[least]), float(highs[least])
        centre = (best[0] / low if low else 0.0), (best[1] / high if high else 0.0)
        reach *= 4 / ends
    return best


class Divergence:
    """The divergence of quantised histograms from their references.

    Args:
        histogram: Of the values; not empty.
        bits: Of the quantisers.
    """

    def __init__(self, histogram: Histogram, bits: int) -> None:
        counts = histogram.counts
        filled = counts > 0
        self._histogram = histogram
        self._bits = bits
        self._logs = np.log(np.where(filled, counts, 1.0))
        self._mass = _running(counts)
        self._filled = _running(filled)
        self._information = _running(counts * self._logs)
        bins = np.arange(len(counts))
        self._last_filled = np.maximum.accumulate(np.where(filled, bins, 0))
        self._next_filled = np.minimum.accumulate(np.where(filled, bins, len(counts))[::-1])[::-1]

    def of_ranges(self, lows: Floats, highs: Floats) -> Floats:
        """The divergence for each range; infinite for ranges that are not to be tried.

        Args:
            lows: Of the ranges, at most 0, shape (ranges,).
            highs: Of the ranges, at least 0.
        """
        grids = Grids.of_ranges(lows, highs, self._bits)
        borders = self._borders(grids)
        levels, filled = np.diff(self._mass[borders], axis=1), np.diff(self._filled[borders], axis=1)
        spread = np.log(np.maximum(levels, 1) / np.maximum(filled, 1))  # per bin, of each level
        first, last = borders[:, 0], borders[:, -1]
        within = self._mass[last] - self._mass[first]
        divergence = self._information[last] - self._information[first] - (levels * spread).sum(axis=1)
        total = self._mass[-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            lowest = self._next_filled[np.minimum(first, len(self._logs) - 1)]
            highest = self._last_filled[np.maximum(last - 1, 0)]
            divergence += self._outside(lowest, self._mass[first], grids, spread)
            divergence += self._outside(highest, total - self._mass[last], grids, spread)
            divergence = divergence / total + np.log(within / total)
        untried = (_spans(self._histogram, lows, highs) < 2**self._bits) | (within < (1 - LEFT_OUT) * total)
        return np.where(untried, np.inf, divergence)

    def _borders(self, grids: Grids) -> NDArray[np.intp]:
        """The first bin of each level, and the bin behind the last level, shape (quantisers, levels + 1).

        A bin belongs to the level that its middle is rounded to.
        """
        halfway = (np.arange(grids.steps + 2) - 0.5 - grids.zero_points) * grids.scales
        bins = np.ceil(halfway / self._histogram.width - 0.5) - self._histogram.first
        firsts: NDArray[np.intp] = np.clip(bins, 0, len(self._logs)).astype(np.intp)
        return firsts

    def _outside(self, bins: NDArray[np.intp], masses: Floats, grids: Grids, spread: Floats) -> Floats:
        """What the mass beyond an end adds to the sum, shape (quantisers,), when it joins that end's bin."""
        middles = ((self._histogram.first + bins + 0.5) * self._histogram.width)[:, np.newaxis]
        levels = np.clip(np.floor(middles / grids.scales + grids.zero_points + 0.5), 0, grids.steps).astype(np.intp)
        inside = self._histogram.counts[bins]
        grown = (inside + masses) * np.log(inside + masses) - inside * self._logs[bins]
        added: Floats = grown - masses * np.take_along_axis(spread, levels, axis=1)[:, 0]
        return added


def _spans(histogram: Histogram, lows: Floats | float, highs: Floats | float) -> NDArray[np.float64]:
    """How many bins ranges span."""
    return np.asarray(highs - lows) / histogram.width


def _running(values: NDArray[np.generic]) -> Floats:
    """Sums of all before each place, and of all."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
