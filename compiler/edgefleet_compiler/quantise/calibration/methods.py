"""Ranges by the methods that recipes name."""

from __future__ import annotations

from functools import lru_cache

from edgefleet_compiler.quantise.calibrate import Range
from edgefleet_compiler.quantise.calibration.entropy import entropy_range
from edgefleet_compiler.quantise.calibration.least_squares import least_squares_range
from edgefleet_compiler.quantise.calibration.observe import Observation
from edgefleet_compiler.quantise.calibration.percentile import percentile_range
from edgefleet_compiler.quantise.settings import Method


def needs_histogram(method: Method) -> bool:
    """Whether a method asks for more of an activation than its extremes."""
    return method.kind != "min-max" and not (method.kind == "percentile" and method.percent == 100)


def range_by(method: Method, seen: Observation, bits: int = 8) -> Range:
    """The range of an activation.

    Args:
        method: How it is found.
        seen: What the activation was seen to be, with a histogram if the method needs one.
        bits: Of the integers that it will be stored as.

    Returns:
        A range with zero in it. Before the method's factor, it is within all values that were seen.
    """
    low, high = _ends(method, seen, bits)
    return Range(low * method.factor, high * method.factor)


@lru_cache(maxsize=1024)
def _ends(method: Method, seen: Observation, bits: int) -> tuple[float, float]:
    """Remembered, because searches take time, and whoever chooses a method has its range found again afterwards."""
    if not needs_histogram(method):
        return seen.low, seen.high
    assert seen.histogram is not None, f"{method} needs a histogram"
    if not len(seen.histogram.counts):  # zeros alone, in the cases that were counted
        return seen.low, seen.high
    if method.kind == "percentile":
        return percentile_range(seen.histogram, seen.low, seen.high, method.percent)
    search = least_squares_range if method.kind == "mse" else entropy_range
    return search(seen.histogram, seen.low, seen.high, bits)
