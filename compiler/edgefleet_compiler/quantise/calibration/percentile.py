"""The range that leaves out the rarest values at either end."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.quantise.calibration.histogram import Histogram


def percentile_range(histogram: Histogram, low: float, high: float, percent: float) -> tuple[float, float]:
    """Find the range.

    Args:
        histogram: Of the values; not empty.
        low: The end of the whole range, at most 0.
        high: Its other end, at least 0.
        percent: Of the values that the range keeps; half of the others are left out at either end. Within a bin
            values count as evenly spread.

    Returns:
        Both ends, within the whole range.
    """
    left_out = histogram.total * (100 - percent) / 200
    edges = histogram.edges
    positive, negative = edges[:-1] >= 0, edges[1:] <= 0
    above = np.append(np.cumsum((histogram.counts * positive)[::-1])[::-1], 0.0)  # how many lie above each edge
    below = np.append(0.0, np.cumsum(histogram.counts * negative))
    # Where fewer than are to be left out lie on one side of zero, that side goes.
    highest = float(np.interp(-left_out, -above, edges)) if left_out < above[0] else 0.0
    lowest = float(np.interp(left_out, below, edges)) if left_out < below[-1] else 0.0
    return max(min(lowest, 0.0), low), min(max(highest, 0.0), high)
