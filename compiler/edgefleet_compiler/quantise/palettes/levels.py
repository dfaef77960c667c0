"""The integers of a palette, chosen so that rounding to them has the least error: k-means in one dimension, exactly.

Source: Wang and Song 2011, "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension by Dynamic Programming", The R
Journal 3/2, over a histogram as fine as the rounding that follows. For the palettes themselves: Han, Mao, Dally 2016,
"Deep Compression", arXiv:1510.00149, section 3, with errors weighed by what they do to the layer's output.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LARGEST: Final = 64
"""The largest magnitude of a level: any two neighbours then fit 16 bits on x86 (see ``saturation``)."""

_BINS_A_STEP: Final = 4  # levels become integers in the end


def choose_levels(positions: NDArray[Any], importance: NDArray[Any], count: int) -> NDArray[np.float64]:
    """The levels by which rounding has the least error.

    Args:
        positions: Weights in units of their scales, any shape; what lies beyond -64..64 is taken to the border.
        importance: What the square of an error of each weight counts; of the same shape.
        count: How many levels there may be.

    Returns:
        Integers, ascending, each once; 0 among them where a weight is 0, so that what was pruned stays so.
    """
    sides = LARGEST * _BINS_A_STEP
    clipped = np.clip(positions.reshape(-1).astype(np.float64), -LARGEST, LARGEST)
    bins = np.rint(clipped * _BINS_A_STEP).astype(np.intp) + sides
    weights = importance.reshape(-1).astype(np.float64)
    used, places = np.unique(bins, return_inverse=True)
    totals, firsts, squares = (np.bincount(places, weights * clipped**power) for power in range(3))
    means = _means(totals, firsts, squares, min(count, len(used)))
    levels = np.rint(means)
    if not positions.all():
        levels[np.abs(means).argmin()] = 0
    return np.unique(levels)


def nearest_levels(positions: NDArray[Any], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The level nearest to each position, the lower one of two that are equally near.

    Args:
        positions: In units of the scale, any shape.
        levels: Ascending.
    """
    found: NDArray[np.float64] = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, positions)]
    return found


def _means(totals: NDArray[Any], firsts: NDArray[Any], squares: NDArray[Any], count: int) -> NDArray[np.float64]:
    """The mean of each of the clusters that have the least squared error together.

    Args:
        totals: The weight of each bin.
        firsts: The weighted sum of what lies in it.
        squares: The weighted sum of the squares.
        count: How many clusters; at most as many as bins.
    """
    total, first, square = (np.concatenate([[0.0], np.cumsum(each)]) for each in (totals, firsts, squares))
    weight = total - total[:, np.newaxis]
    divisor = np.where(weight > 0, weight, 1.0)
    errors = np.maximum(square - square[:, np.newaxis] - (first - first[:, np.newaxis]) ** 2 / divisor, 0.0)
    errors[np.tril_indices(len(errors))] = np.inf  # from one end to a later one, and no cluster without a bin
    least, cuts = errors[0], list[NDArray[np.intp]]()
    for _ in range(count - 1):
        options = least[:, np.newaxis] + errors
        cuts.append(options.argmin(axis=0))
        least = options.min(axis=0)
    ends = [len(totals)]
    for cut in reversed(cuts):
        ends.append(int(cut[ends[-1]]))
    bounds = np.array([0, *reversed(ends)])
    parts = total[bounds[1:]] - total[bounds[:-1]]
    means: NDArray[np.float64] = (first[bounds[1:]] - first[bounds[:-1]]) / np.where(parts > 0, parts, 1.0)
    return means
