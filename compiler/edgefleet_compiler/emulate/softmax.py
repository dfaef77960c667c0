"""SOFTMAX of int8: in fixed point (TFLite's ``reference/softmax.h``), and by a table of floats (LiteRT's own)."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Final

import numpy as np

from edgefleet_compiler.emulate.fixed_point import exp_of_negative, multiply, reciprocal_of_one_plus
from edgefleet_compiler.emulate.rounding import (
    Dialect,
    Integers,
    divide_half_away,
    divide_half_up,
    quantise_multiplier,
    round_half_away,
)
from edgefleet_compiler.emulate.site import Run, Site, Values, scale, zero_point

_DIFFERENCE_BITS: Final = 5  # integer bits of what goes into exp
_SUM_BITS: Final = 12  # integer bits of sums of exponentials
_LOWEST: Final = -128


def softmax(site: Site) -> Run:
    """SOFTMAX over the last axis."""
    site.require_type("int8")
    return _by_table(site) if site.dialect is Dialect.LITERT else _in_fixed_point(site)


def _in_fixed_point(site: Site) -> Run:
    real = float(_beta(site)) * float(scale(site.input(0))) * (1 << (31 - _DIFFERENCE_BITS))
    multiplier = quantise_multiplier(min(real, (1 << 31) - 1.0))
    left, fraction = int(multiplier.shift), int(multiplier.fraction)
    # What is further below the largest counts as nothing: it would not fit the fixed-point number.
    radius = floor(((1 << _DIFFERENCE_BITS) - 1) * (1 << (31 - _DIFFERENCE_BITS)) / (1 << left))

    def run(values: Sequence[Values]) -> Values:
        difference = values[0].astype(np.int64) - values[0].max(axis=-1, keepdims=True)
        counts = difference >= -radius
        scaled = divide_half_up((np.maximum(difference, -radius) << left) * fraction, 31)
        exponential = np.where(counts, exp_of_negative(scaled, _DIFFERENCE_BITS), 0)
        sums = np.where(counts, divide_half_away(exponential, _SUM_BITS), 0).sum(axis=-1, keepdims=True)
        headroom = 32 - _bit_length(sums)
        reciprocal = reciprocal_of_one_plus((sums << headroom) - (1 << 31))
        exponent = _SUM_BITS - headroom + 31 - 8
        shares = divide_half_away(multiply(reciprocal, exponential), exponent) + _LOWEST
        return np.where(counts, site.clamp(shares), np.int8(_LOWEST))

    return run


def _by_table(site: Site) -> Run:
    """As ``optimized_ops.h`` on x86-64: exponentials from a table of float32, added up in order."""
    factor = -scale(site.input(0)) * _beta(site)
    steps = np.arange(256, dtype=np.float32) * factor
    # expf rounds to nearest but for single cases; numpy's own float32 exp does not.
    table = np.exp(steps.astype(np.float64)).astype(np.float32)
    share_scale = scale(site.output)

    def run(values: Sequence[Values]) -> Values:
        below = values[0].max(axis=-1, keepdims=True).astype(np.int64) - values[0]
        exponential = table[below]
        sums = np.add.accumulate(exponential, axis=-1, dtype=np.float32)[..., -1:]
        shares = exponential * (np.float32(1) / (sums * share_scale))
        return site.clamp(round_half_away(shares) + zero_point(site.output))

    return run


def _beta(site: Site) -> np.float32:
    return site.number("beta", 1.0)


def _bit_length(positive: Integers) -> Integers:
    return np.frexp(positive.astype(np.float64))[1].astype(np.int64)
