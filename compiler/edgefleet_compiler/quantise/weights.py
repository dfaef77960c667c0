"""Constant weights as integers of 8 or 4 bits, or of a palette: real = scale * stored, one scale or one a channel.

At 8 bits the largest weight of a channel is stored as 127. At 4 bits there are 15 steps, and a scale that fits the
largest weight rounds all others away: the scale is the one with the least mean square error of rounding, found by
search (Choukroun et al. 2019, "Low-bit Quantization of Neural Networks for Efficient Inference", section 3). Of a
palette the integers are chosen too (``palettes``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.quantise.palettes import levels
from edgefleet_compiler.quantise.palettes.size import FEWEST_ELEMENTS, LEVELS
from edgefleet_compiler.quantise.parameters import Floats, quantise_weights, weight_scales
from edgefleet_compiler.quantise.settings import Weights

LARGEST: dict[Weights, int] = {"int8": 127, "int4": 7, "palette4": levels.LARGEST}
"""The largest magnitude stored: the least integer of a type is left out, so that the range is symmetric."""

_TYPES: dict[Weights, np.dtype[Any]] = {"int8": np.dtype(np.int8), "int4": INT4, "palette4": np.dtype(np.int8)}

_SHRINKING = np.linspace(1.0, 0.2, 81)  # of the scale that fits the largest weight; the error is flat at its minimum


def kind_of(weights: Floats, wanted: Weights) -> Weights:
    """The type that weights get: 8 bits where they are too few for a palette."""
    return "int8" if wanted == "palette4" and weights.size < FEWEST_ELEMENTS else wanted


def scales_of(weights: Floats, axis: int | None, kind: Weights) -> Floats:
    """Scales of weights.

    Args:
        weights: Any shape.
        axis: Of the channels, each of which gets a scale; None for one scale.
        kind: The type that they are to be stored in.

    Returns:
        Shape (channels,), or () without an axis.
    """
    fitting = weight_scales(weights, axis) * np.float32(LARGEST["int8"] / LARGEST[kind])
    return fitting if kind != "int4" else _least_error(weights, fitting, axis, LARGEST[kind])


def integers_of(weights: Floats, scales: Floats, axis: int | None, kind: Weights) -> NDArray[Any]:
    """The integers nearest to weights, saturated.

    Args:
        weights: Any shape.
        scales: As ``scales_of`` gives them.
        axis: As there.
        kind: The type of the integers.

    Returns:
        int8 or ``INT4``, of the shape of the weights.
    """
    if kind == "palette4":
        steps = scales if axis is None else np.moveaxis(scales.reshape(-1, *[1] * (weights.ndim - 1)), 0, axis)
        positions = weights / steps
        found = levels.choose_levels(positions, np.broadcast_to(np.square(steps), positions.shape), LEVELS)
        return levels.nearest_levels(positions, found).astype(_TYPES[kind])
    integers: NDArray[Any] = quantise_weights(weights, scales, axis, LARGEST[kind]).astype(_TYPES[kind])
    return integers


def _least_error(weights: Floats, fitting: Floats, axis: int | None, limit: int) -> Floats:
    """The scale of each channel, among shares of the one that fits, by which rounding has the least squared error."""
    rows = weights.reshape(1, -1) if axis is None else np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    columns = fitting.reshape(-1, 1)
    best, least = columns, np.full(len(rows), np.inf)
    for share in _SHRINKING:
        scales = columns * np.float32(share)
        stored = np.clip(np.rint(rows / scales), -limit, limit)
        errors = np.square(stored * scales - rows, dtype=np.float64).sum(axis=1)
        best = np.where((errors < least)[:, None], scales, best)
        least = np.minimum(errors, least)
    return np.asarray(best.reshape(fitting.shape), np.float32)
