"""Fixed-point rounding: exact against rationals, and as each kernel's own definition has it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import ArrayLike

from edgefleet_compiler.emulate.rounding import (
    Dialect,
    Multiplier,
    Rounding,
    divide_half_away,
    divide_half_up,
    quantise_multiplier,
    requantise,
    requantise_wide,
    rounded_product,
)
from edgefleet_contract.errors import ModelMalformed


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    return half_up(value) if value >= 0 else -half_up(-value)


def exactly(accumulator: int, multiplier: int, shift: int, rounding: Rounding) -> int:
    product = Fraction(accumulator * multiplier * 2 ** max(shift, 0), 2**31)
    right = 2 ** max(-shift, 0)
    if rounding is Rounding.IN_FLOAT64:
        return half_away(product / right)
    first = half_up(product)
    return half_away(Fraction(first, right)) if rounding is Rounding.TWICE_AWAY else half_up(Fraction(first, right))


def fixed(fraction: ArrayLike, shift: ArrayLike) -> Multiplier:
    fractions, shifts = np.asarray(fraction, np.int64), np.asarray(shift, np.int64)
    return Multiplier(np.ldexp(fractions.astype(np.float64), shifts - 31), fractions, shifts)


@pytest.mark.parametrize("rounding", Rounding)
def test_products_are_rounded_as_rationals_are(rounding: Rounding) -> None:
    random = np.random.default_rng(7)
    accumulators = random.integers(-(2**24), 2**24, 400)
    multipliers = random.integers(2**30, 2**31, 400)
    shifts = random.integers(-31, 6, 400)
    seen = rounded_product(accumulators, fixed(multipliers, shifts), rounding)
    cases = zip(accumulators.tolist(), multipliers.tolist(), shifts.tolist(), strict=True)
    assert seen.tolist() == [exactly(*case, rounding) for case in cases]


def test_ties_of_negative_values_tell_the_dialects_apart() -> None:
    # 2**30 * 2**(-1 - 31) is a quarter: -2 becomes -0.5 and -6 becomes -1.5.
    def rounded(dialect: Dialect, kind: str) -> list[int]:
        return requantise([-6, -2, 2, 6], fixed(2**30, -1), dialect, kind).tolist()

    assert rounded(Dialect.TFLITE_MICRO, "CONV_2D") == [-2, -1, 1, 2]
    assert rounded(Dialect.TFLITE_MICRO, "FULLY_CONNECTED") == [-2, -1, 1, 2]
    assert rounded(Dialect.LITERT, "CONV_2D") == [-1, 0, 1, 2]
    # Four channels are fewer than LiteRT takes at once.
    assert rounded(Dialect.LITERT, "DEPTHWISE_CONV_2D") == [-2, -1, 1, 2]
    assert rounded(Dialect.LITERT_REFERENCE, "CONV_2D") == [-2, -1, 1, 2]
    assert rounded(Dialect.LITERT_REFERENCE, "FULLY_CONNECTED") == [-2, -1, 1, 2]


@pytest.mark.parametrize("rounding", Rounding)
def test_rounding_never_decreases(rounding: Rounding) -> None:
    sums = np.arange(-5000, 5000)
    for fraction, shift in ((2**30, -1), (2**31 - 1, -5), (1_518_500_250, -8), (2**30 + 1, 2), (0, 0)):
        assert (np.diff(rounded_product(sums, fixed(fraction, shift), rounding)) >= 0).all()


def test_multipliers_keep_thirty_one_bits() -> None:
    reals = np.array([0.0, 0.5, 1.0, 0.75, 3.0, 2.0**-32, 2.0**-33, 1.0 - 2.0**-40])
    multiplier = quantise_multiplier(reals)
    assert multiplier.fraction.tolist() == [0, 2**30, 2**30, 3 * 2**29, 3 * 2**29, 2**30, 0, 2**30]
    assert multiplier.shift.tolist() == [0, 0, 1, 0, 2, -31, 0, 1]


def test_channels_have_multipliers_of_their_own() -> None:
    sums = np.array([[100, 100, 100], [-100, -100, -100]])
    multiplier = quantise_multiplier([0.5, 0.25, 0.1])
    assert requantise(sums, multiplier, Dialect.TFLITE_MICRO, "CONV_2D").tolist() == [
        [50, 25, 10],
        [-50, -25, -10],
    ]


def test_wide_sums_use_a_multiplier_of_fifteen_bits() -> None:
    assert requantise_wide([3, -3, 2**40], fixed(2**30, -1)).tolist() == [1, -1, 2**38]
    assert requantise_wide(2**20, fixed(2**31 - 1, 0)).tolist() == (2**20 * 0x7FFF + 2**14) >> 15


def test_a_multiplication_in_float64_rounds_once() -> None:
    # 0.25 + 2**-31 rounds up to a tie first, and then away from zero; the product itself is below a half.
    multiplier = quantise_multiplier(0.25 - 2.0**-34)
    assert rounded_product([2, -2], multiplier, Rounding.TWICE_AWAY).tolist() == [1, -1]
    assert rounded_product([2, -2], multiplier, Rounding.IN_FLOAT64).tolist() == [0, 0]


def test_divisions_differ_at_negative_ties_alone() -> None:
    values = np.arange(-64, 65)
    differs = divide_half_away(values, 3) != divide_half_up(values, 3)
    assert values[differs].tolist() == [-60, -52, -44, -36, -28, -20, -12, -4]
    assert divide_half_away(values, 0).tolist() == values.tolist()


def test_a_sum_that_would_overflow_a_kernel_is_refused() -> None:
    with pytest.raises(ModelMalformed, match="A sum reaches 1073741824"):
        requantise(2**30, fixed(2**30, 1), Dialect.TFLITE_MICRO, "CONV_2D")
    with pytest.raises(ModelMalformed, match="overflow"):
        requantise_wide(2**47, fixed(2**30, 0))
