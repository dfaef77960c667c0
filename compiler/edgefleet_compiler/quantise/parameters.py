"""Scales and zero points: real = scale * (stored - zero_point).

Activations are int8, asymmetric, or int16, symmetric: the multiplication of 16-bit integers leaves no room for a zero
point (TensorFlow Lite, "16-bit activations with 8-bit weights").

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", equations 1 and 12 and section 3; TensorFlow Lite 8-bit quantization specification. Scales are computed in
float64 and rounded to float32 once; all that depends on a scale uses the rounded one. Numbers are rounded half to even
(``numpy.rint``), as QuantizeLinear does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IntegerType = Literal["int8", "int16"]
"""Of activations."""

HIGHEST = 127
"""The largest weight; -128 is left out, so that a product of two fits 15 bits."""

SMALLEST_SCALE = 2.0**-40
"""Ranges below this are noise; products of two such scales are still normal float32 numbers."""

LARGEST_BIAS = 2**30
"""A bias takes at most half of int32: the other half is left to the sum of products that is added to it."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Parameters:
    """Of an activation: one scale, a float32 number, and one zero point among its integers; 0 for int16."""

    scale: float
    zero_point: int
    dtype: IntegerType = "int8"

    def quantise(self, array: NDArray[np.floating]) -> NDArray[np.signedinteger]:
        """The integers nearest to the reals, saturated."""
        limits = np.iinfo(self.dtype)
        stored = np.rint(array.astype(np.float64) / self.scale) + self.zero_point
        integers: NDArray[np.signedinteger] = np.clip(stored, limits.min, limits.max).astype(self.dtype)
        return integers


def parameters(scale: float, zero_point: int, dtype: IntegerType = "int8") -> Parameters:
    """Parameters whose scale is rounded to float32."""
    return Parameters(float(np.float32(scale)), zero_point, dtype)


def parameters_of_range(low: float, high: float, dtype: IntegerType = "int8") -> Parameters:
    """Parameters of an activation that spans a range: asymmetric for int8, symmetric for int16.

    Args:
        low: The smallest value. The range is widened to include zero, which is stored exactly: padding adds zeros, and
            zeros must not become a bias.
        high: The largest value. A range of nothing but zero counts as 0..1.
        dtype: Of the integers.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = 1.0
    limits = np.iinfo(dtype)
    if dtype == "int16":
        return parameters(max(high, -low, SMALLEST_SCALE * limits.max) / limits.max, 0, dtype)
    scale = float(np.float32(max((high - low) / (limits.max - limits.min), SMALLEST_SCALE)))
    zero_point = int(np.clip(np.rint(limits.min - low / scale), limits.min, limits.max))
    return Parameters(scale, zero_point)


def weight_scales(weights: Floats, axis: int | None) -> Floats:
    """Symmetric scales: the largest magnitude becomes 127.

    Args:
        weights: Any shape.
        axis: Of the channels, each of which gets a scale; None for one scale.

    Returns:
        Shape (channels,), or () without an axis. A channel of zeros gets the largest scale of the others, so that its
        bias is as fine as theirs; with no others, a scale as if its largest weight were 1.
    """
    others = None if axis is None else tuple(other for other in range(weights.ndim) if other != axis % weights.ndim)
    largest = np.abs(weights.astype(np.float64)).max(axis=others)
    instead = largest.max() if largest.max() > 0 else 1.0
    scales: Floats = np.maximum(np.where(largest > 0, largest, instead) / HIGHEST, SMALLEST_SCALE).astype(np.float32)
    return scales


def widened_for_bias(scales: Floats, bias: Floats, input_scale: float) -> Floats:
    """Weight scales raised where the bias, whose scale is input scale times weight scale, would leave ``LARGEST_BIAS``.

    A channel whose weights are tiny beside its bias loses precision in weights that hardly matter, where it would
    otherwise lose its bias to saturation.
    """
    least = np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
    needed = least if scales.ndim else least.max()
    # The margin keeps float32 rounding of either scale from going past the limit.
    return np.maximum(scales, needed * (1 + 2.0**-20)).astype(np.float32)


def quantise_weights(weights: Floats, scales: Floats, axis: int | None, largest: int = HIGHEST) -> NDArray[np.int8]:
    """Weights as integers, from ``-largest`` to ``largest``."""
    shape = [1] * weights.ndim
    if axis is not None:
        shape[axis] = -1
    stored = np.rint(weights.astype(np.float64) / scales.astype(np.float64).reshape(shape))
    return np.clip(stored, -largest, largest).astype(np.int8)


def bias_scales(scales: Floats, input_scale: float) -> Floats:
    """Scales of the biases: input scale times weight scale, so that a bias adds to the products as it is."""
    return (scales.astype(np.float64) * input_scale).astype(np.float32)


def quantise_bias(bias: Floats, scales: Floats) -> NDArray[np.int32]:
    """Biases as integers."""
    limits = np.iinfo(np.int32)
    stored = np.rint(bias.astype(np.float64) / scales.astype(np.float64))
    return np.clip(stored, limits.min, limits.max).astype(np.int32)
