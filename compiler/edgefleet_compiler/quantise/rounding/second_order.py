"""Second-order rounding: each weight makes up for the rounding errors of those before it.

Source: Frantar, Ashkboos, Hoefler, Alistarh 2022, "GPTQ", arXiv:2210.17323, algorithm 1, with the columns of the
largest diagonal first; after Frantar and Alistarh 2022, "Optimal Brain Compression", arXiv:2208.11580. It is computed
as Babai's nearest plane algorithm, which gives the same integers (Chen et al. 2025, arXiv:2507.18553): with H = L Lᵀ,
and no inverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.palettes.levels import nearest_levels
from edgefleet_compiler.quantise.rounding.quadratic import Matrices, errors, lower_factor
from edgefleet_compiler.quantise.saturation import LARGEST_PAIR, fitted

DAMPING = 0.01
"""Added to the diagonal, as a share of its mean: the calibration set does not know all directions."""


Levels = NDArray[np.float64] | None
"""The integers that there are, ascending; None for all of them."""


def second_order(
    weights: Matrices, gram: Matrices, scales: Matrices, largest: int, pairs: bool = False, levels: Levels = None
) -> Matrices:
    """Weights as integers.

    Args:
        weights: Shape (groups, channels, inputs).
        gram: Shape (groups, inputs, inputs).
        scales: Shape (groups, channels, 1).
        largest: Magnitude of an integer: 127 for 8 bits, 7 for 4.
        pairs: Whether each two inputs, from the first one on, must have integers that ``saturation.fitted`` leaves.
        levels: Of a palette; then ``pairs`` must be False.

    Returns:
        Integers, of the shape of the weights. No channel has a larger error by the Gram matrix than with rounding to
        nearest.
    """
    plain = fitted(weights / scales) if pairs else nearest(weights, scales, largest, levels)
    if not gram.any():
        return plain
    return better(successive(weights, damped(gram), scales, largest, pairs, levels), plain, weights, gram, scales)


def nearest(weights: Matrices, scales: Matrices, largest: int, levels: Levels = None) -> Matrices:
    """The integers nearest to the weights, ties to even; of a palette, to the lower one."""
    if levels is not None:
        return nearest_levels(weights / scales, levels)
    return np.clip(np.rint(weights / scales), -largest, largest)


def better(one: Matrices, other: Matrices, weights: Matrices, gram: Matrices, scales: Matrices) -> Matrices:
    """Of two roundings the one with the smaller error, channel by channel; the second where they are even."""
    first = errors(weights - one * scales, gram) < errors(weights - other * scales, gram)
    return np.where(first[..., np.newaxis], one, other)


def damped(gram: Matrices, damping: float = DAMPING) -> Matrices:
    """The Gram matrices with what makes them positive definite: this share of their mean diagonal."""
    size = gram.shape[-1]
    mean = np.trace(gram, axis1=1, axis2=2) / size
    share = np.where(mean > 0, damping * mean, 1.0)
    return gram + np.eye(size) * share[:, np.newaxis, np.newaxis]


def successive(
    weights: Matrices, gram: Matrices, scales: Matrices, largest: int, pairs: bool = False, levels: Levels = None
) -> Matrices:
    """Round one input after the other, the last of the order first: what L has below its diagonal makes up for it."""
    order = np.argsort(np.diagonal(gram, axis1=1, axis2=2), axis=1, kind="stable")
    across = order[:, np.newaxis, :]
    factor = lower_factor(np.take_along_axis(np.take_along_axis(gram, order[:, :, np.newaxis], 1), across, 2))
    wanted = np.take_along_axis(weights / scales, across, 2)
    rounded, left = np.zeros_like(wanted), np.zeros_like(wanted)
    limit = np.full(wanted.shape[:2], float(largest))
    partner = _partners(order)
    for k in reversed(range(wanted.shape[-1])):
        owed = np.einsum("gci,gi->gc", left[..., k + 1 :], factor[:, k + 1 :, k]) / factor[:, k, k, np.newaxis]
        reals = wanted[..., k] + owed
        # 0 where the partner is not rounded yet: it then has to fit this one.
        other = np.take_along_axis(rounded, partner[:, np.newaxis, k, np.newaxis], 2)[..., 0] if pairs else 0.0 * limit
        lowest, highest = np.maximum(-limit, -LARGEST_PAIR - other), np.minimum(limit, LARGEST_PAIR - other)
        whole = np.rint(reals) if levels is None else nearest_levels(reals, levels)
        rounded[..., k] = np.clip(whole, lowest, highest)
        left[..., k] = wanted[..., k] - rounded[..., k]
    integers = np.empty_like(rounded)
    np.put_along_axis(integers, across, rounded, 2)
    return integers


def _partners(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where in the order the partner of each input comes; an odd last input is its own."""
    inputs = order.shape[1]
    partners = np.where(order ^ 1 < inputs, order ^ 1, order)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.broadcast_to(np.arange(inputs), order.shape), 1)
    return np.take_along_axis(places, partners, 1)
