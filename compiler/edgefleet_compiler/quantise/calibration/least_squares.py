"""The range whose quantiser has the least mean squared error: rounding within it, and saturation beyond.

The objective is that of Banner et al. 2019, "Post training 4-bit quantization of convolutional networks for
rapid-deployment", section 3, without their assumption of a Laplacian: the error is integrated over the histogram,
within whose bins values count as evenly spread. Both ends are searched, not one magnitude.
"""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.quantise.calibration.grid import Floats, Grids, pairs
from edgefleet_compiler.quantise.calibration.histogram import Histogram

_COARSE = 2.0 ** -(np.arange(97) / 8)  # shares of an end: from all of it to 1/4096, each 8 % less than the last
_FINE = 2.0 ** (np.arange(-8, 9) / 64)  # around the best of them, to about one percent
_EXACT = 24  # candidates whose true error is integrated


def least_squares_range(histogram: Histogram, low: float, high: float, bits: int) -> tuple[float, float]:
    """Find the range.

    Two rounds compare all pairs of ends by the usual estimate, a rounding error of scale² / 12 for each value within;
    the true errors of the best of them, and of the whole range, decide.

    Args:
        histogram: Of the values; not empty.
        low: The end of the whole range, at most 0.
        high: Its other end, at least 0.
        bits: Of the quantiser.

    Returns:
        Both ends, within the whole range. For densities smooth over a step, the error is within 2 % of the least.
    """
    sums = _Sums(histogram)
    lows, highs = pairs(np.append(low * _COARSE, 0.0), np.append(high * _COARSE, 0.0))
    best = int(sums.estimate(lows, highs, bits).argmin())
    fine_lows, fine_highs = pairs(np.maximum(lows[best] * _FINE, low), np.minimum(highs[best] * _FINE, high))
    order = np.argsort(sums.estimate(fine_lows, fine_highs, bits), kind="stable")[:_EXACT]
    chosen_lows, chosen_highs = np.append(fine_lows[order], low), np.append(fine_highs[order], high)
    errors = squared_errors(histogram, Grids.of_ranges(chosen_lows, chosen_highs, bits))
    least = int(errors.argmin())
    return float(chosen_lows[least]), float(chosen_highs[least])


class _Sums:
    """Running sums over bins, by which the error of a range takes a few look-ups."""

    def __init__(self, histogram: Histogram) -> None:
        self._edges = histogram.edges
        centres = (self._edges[1:] + self._edges[:-1]) / 2
        moments = [histogram.counts * centres**power for power in range(3)]
        self._moments = np.cumsum(np.pad(moments, ((0, 0), (1, 0))), axis=1)

    def estimate(self, lows: Floats, highs: Floats, bits: int) -> Floats:
        """Sums of squared errors, roughly, of ranges given by their ends of shape (ranges,)."""
        below = [np.interp(lows, self._edges, moment) for moment in self._moments]
        within = [np.interp(highs, self._edges, moment) for moment in self._moments]
        above = [moment[-1] - part for moment, part in zip(self._moments, within, strict=True)]
        rounding = ((highs - lows) / (2**bits - 1)) ** 2 / 12 * (within[0] - below[0])
        errors: Floats = rounding + _about(below, lows) + _about(above, highs)
        return errors


def _about(moments: list[Floats], point: Floats) -> Floats:
    """Sums of squared distances from a point, from the moments 0 to 2."""
    return moments[2] - 2 * point * moments[1] + point**2 * moments[0]


def squared_errors(histogram: Histogram, grids: Grids) -> Floats:
    """The sum of squared errors of each quantiser over a histogram, shape (quantisers,).

    The error at x is x less the nearest value stored; its square has an antiderivative in closed form, so that the
    mean over each bin is exact whatever the widths of bins and steps.
    """
    edges = histogram.edges
    steps = np.clip(np.rint(edges / grids.scales) + grids.zero_points, 0, grids.steps) - grids.zero_points
    # Through one step the antiderivative grows by scale³ / 12; within the step where x is, by the cube of the error.
    integral = (edges - steps * grids.scales) ** 3 / 3 + steps * (grids.scales**3 / 12)
    errors: Floats = np.diff(integral, axis=1) @ (histogram.counts / histogram.width)
    return errors
