"""Activations that stand alone: RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC and TANH.

An activation of int8 has 256 inputs: each is computed once, and looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.emulate import fixed_point
from edgefleet_compiler.emulate.rounding import (
    Dialect,
    Integers,
    divide_half_away,
    quantise_multiplier,
    requantise,
    round_half_away,
)
from edgefleet_compiler.emulate.site import Run, Site, Values, scale, stored, zero_point

_EVERY_INT8: Final = np.arange(-128, 128, dtype=np.int8)
_INPUT_BITS: Final = 4  # integer bits of what goes into logistic and tanh


def relu(site: Site) -> Run:
    """RELU: TFLite's ``ReluX``, which goes to the output's scale."""
    return _looked_up(site, lambda values: _rescaled(site, values, 0.0, None))


def relu6(site: Site) -> Run:
    """RELU6: as RELU; but TFLite Micro only clamps, at the input's scale."""
    if site.dialect is not Dialect.TFLITE_MICRO:
        return _looked_up(site, lambda values: _rescaled(site, values, 0.0, 6.0))
    source = site.input(0)
    return _looked_up(site, lambda values: np.clip(values, zero_point(source), stored(source, 6.0)))


def leaky_relu(site: Site) -> Run:
    """LEAKY_RELU: TFLite's ``reference/leaky_relu.h``."""
    alpha = site.number("alpha", 0.0)
    above = quantise_multiplier(scale(site.input(0)) / scale(site.output))
    below = quantise_multiplier(abs(scale(site.input(0)) * alpha / scale(site.output)))
    sign = -1 if alpha < 0 else 1

    def compute(values: Integers) -> Integers:
        centred = values - zero_point(site.input(0))
        negative = sign * requantise(np.minimum(centred, 0), below, site.dialect, "LEAKY_RELU")
        return (
            requantise(np.maximum(centred, 0), above, site.dialect, "LEAKY_RELU") + negative + zero_point(site.output)
        )

    return _looked_up(site, compute)


def hard_swish(site: Site) -> Run:
    """HARD_SWISH in 16 bits: TFLite's ``reference/hard_swish.h``."""
    fine = np.float32(1 / 128) * scale(site.input(0))
    to_output = quantise_multiplier(fine / scale(site.output))
    to_gate = quantise_multiplier(fine / np.float32(3 / 32768))
    gate_shift = int(to_gate.shift)

    def compute(values: Integers) -> Integers:
        raised = (values - zero_point(site.input(0))) << 7
        gate = _int16(raised << max(gate_shift - 1, 0))
        gate = _high_product(gate, _upper_half(to_gate.fraction))
        gate = _int16(gate << 1) if gate_shift > 0 else divide_half_away(gate, max(-gate_shift, 0))
        gate = (gate + (1 << 15)) >> 1
        product = gate * _high_product(raised, _upper_half(to_output.fraction))
        truncated = np.sign(product) * (np.abs(product) >> 15)
        return divide_half_away(truncated, -to_output.shift) + zero_point(site.output)

    if to_output.shift > 0:
        raise site.unsupported("its output's scale is finer than a 128th of its input's")
    return _looked_up(site, compute)


def logistic(site: Site) -> Run:
    """LOGISTIC: in fixed point in TFLite Micro (``integer_ops/logistic.h``), else by a table of floats."""
    if site.dialect is Dialect.TFLITE_MICRO:
        return _in_fixed_point(site, fixed_point.logistic, (31 - 8, -128))
    return _by_floats(site, lambda reals: np.float32(1) / (np.float32(1) + _single(np.exp, -reals)))


def tanh(site: Site) -> Run:
    """TANH: in fixed point in TFLite Micro (``integer_ops/tanh.h``), else by a table of floats."""
    if site.dialect is Dialect.TFLITE_MICRO:
        return _in_fixed_point(site, fixed_point.tanh, (31 - 7, 0))
    return _by_floats(site, lambda reals: _single(np.tanh, reals))


def _looked_up(site: Site, compute: Callable[[Integers], Integers]) -> Run:
    site.require_type("int8")
    table = site.clamp(compute(_EVERY_INT8.astype(np.int64)))

    def run(values: Sequence[Values]) -> Values:
        return table[values[0].astype(np.int16) + 128]

    return run


def _rescaled(site: Site, values: Integers, low: float, high: float | None) -> Integers:
    multiplier = quantise_multiplier(scale(site.input(0)) / scale(site.output))
    scaled = requantise(values - zero_point(site.input(0)), multiplier, site.dialect, site.operator.kind)
    return np.clip(scaled + zero_point(site.output), stored(site.output, low), stored(site.output, high))


def _in_fixed_point(site: Site, function: Callable[[Integers, int], Integers], output: tuple[int, int]) -> Run:
    """By a function of ``fixed_point``; ``output`` is the shift to 8 bits, and the zero point."""
    multiplier = quantise_multiplier(np.float64(scale(site.input(0))) * (1 << (31 - _INPUT_BITS)))
    # What lies further out is the least or the largest: it would not fit the fixed-point number.
    radius = floor(((1 << _INPUT_BITS) - 1) * (1 << (31 - _INPUT_BITS)) / 2.0 ** int(multiplier.shift))

    def compute(values: Integers) -> Integers:
        centred = values - zero_point(site.input(0))
        inside = np.clip(centred, 1 - radius, radius - 1)
        raw = function(requantise(inside, multiplier, site.dialect, site.operator.kind), _INPUT_BITS)
        result = divide_half_away(raw, output[0]) + output[1]
        return np.where(centred <= -radius, -128, np.where(centred >= radius, 127, result))

    return _looked_up(site, compute)


def _by_floats(site: Site, function: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Run:
    """As ``LUTPopulate`` of LiteRT's ``common.h``: one float operation after the other, in float32."""
    source, output = site.input(0), site.output
    inverse = np.float32(1) / scale(output)

    def compute(values: Integers) -> Integers:
        reals = scale(source) * (values - zero_point(source)).astype(np.float32)
        return round_half_away(function(reals) * inverse) + zero_point(output)

    return _looked_up(site, compute)


def _single(function: Callable[[Any], Any], reals: NDArray[np.float32]) -> NDArray[np.float32]:
    """A function of float64 rounded to float32: what C's float32 functions give but for single cases."""
    return np.asarray(function(reals.astype(np.float64)), np.float32)


def _high_product(one: Integers, other: int) -> Integers:
    """The upper half of twice the product of two 16-bit numbers, ties up."""
    return _int16((one * other + (1 << 14)) >> 15)


def _upper_half(fraction: Integers) -> int:
    """A fraction of 31 bits in 15, as ``DownScaleInt32ToInt16Multiplier`` has it."""
    return min((int(fraction) + (1 << 15)) >> 16, (1 << 15) - 1)


def _int16(values: Integers) -> Integers:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)
