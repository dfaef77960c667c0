"""95 % intervals for what two models do to the same cases.

Proportions have closed forms that hold where few cases or none differ, which the bootstrap does not: with no case
changed it would claim to be sure. Everything else is resampled in pairs.

Sources: Wilson (1927), score interval. Newcombe (1998), "Improved confidence intervals for the difference between
binomial proportions based on paired data", Statistics in Medicine 17:2635-2650, method 10. Efron and Tibshirani
(1993), "An Introduction to the Bootstrap", section 13.3, percentile interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_RESAMPLES = 2000


def wilson(successes: int, n: int) -> Interval:
    """Score interval of one proportion."""
    p = successes / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def newcombe_paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Interval:
    """Interval of mean(first) - mean(second) over the same cases.

    Args:
        first: Shape (n,): whether the first model was right.
        second: Shape (n,): whether the second was.
    """
    n = len(first)
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second = int((~first & second).sum())
    neither = n - both - only_first - only_second
    p1, p2 = (both + only_first) / n, (both + only_second) / n
    (low1, high1), (low2, high2) = wilson(both + only_first, n), wilson(both + only_second, n)
    phi = _phi(both, only_first, only_second, neither)
    below = math.sqrt(max(0.0, (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2))
    above = math.sqrt(max(0.0, (high1 - p1) ** 2 - 2 * phi * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2))
    return p1 - p2 - below, p1 - p2 + above


def paired_bootstrap(statistic: Callable[[NDArray[np.intp]], float], n: int, *, seed: int) -> Interval:
    """Percentile interval of a statistic of two models over resampled cases.

    Args:
        statistic: Of the cases at the given indices, drawn with replacement; the same cases for both models.
        n: Number of cases.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    draws = [statistic(generator.integers(0, n, n)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """The correlation of the pairs, with Newcombe's continuity correction where it is positive."""
    n = both + only_first + only_second + neither
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    product = both * neither - only_first * only_second
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    return corrected / math.sqrt(margins)
