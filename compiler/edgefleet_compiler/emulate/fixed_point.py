"""Functions of reals between fixed-point numbers of 32 bits, as gemmlowp's ``fixedpoint.h`` has them.

A number with n integer bits is raw * 2**(n - 31). Products round to nearest, ties up; shifts to the right round to
nearest, ties away from zero; shifts to the left saturate. Raw values are held in int64, and never leave 32 bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgefleet_compiler.emulate.rounding import Integers, divide_half_away, divide_half_up

ONE: Final = (1 << 31) - 1
"""1, or as near as no integer bits allow."""

_EXP_MINUS_EIGHTH: Final = 1895147668
_THIRD: Final = 715827883
# exp(-2**exponent) with no integer bits, from -1/4 to -16.
_EXP_OF_POWERS: Final = {
    -2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242,
}  # fmt: skip
_48_OVER_17: Final = 1515870810  # with 2 integer bits
_MINUS_32_OVER_17: Final = -1010580540
_NEWTON_STEPS: Final = 3


def multiply(one: Integers | int, other: Integers | int) -> Integers:
    """The product; its integer bits are the sum of both."""
    return divide_half_up(np.asarray(one, np.int64) * np.asarray(other, np.int64), 31)


def shift_left(raw: Integers, bits: int) -> Integers:
    """``raw`` times 2**``bits``, saturated to 32 bits."""
    return np.asarray(np.clip(raw << bits, -(1 << 31), ONE))


def exp_of_negative(raw: Integers, integer_bits: int) -> Integers:
    """exp(x) for x <= 0.

    Args:
        raw: x with ``integer_bits`` integer bits.
        integer_bits: At most 5.

    Returns:
        The value, with no integer bits.
    """
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    from_quarter = (raw & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_of_last_quarter(shift_left(from_quarter, integer_bits))
    remainder = from_quarter - raw
    for exponent, factor in _EXP_OF_POWERS.items():
        if exponent < integer_bits:
            has_bit = (remainder >> (fraction_bits + exponent)) & 1
            result = np.where(has_bit == 1, multiply(result, factor), result)
    return np.where(raw == 0, ONE, result)


def reciprocal_of_one_plus(raw: Integers) -> Integers:
    """1 / (1 + x) for 0 <= x < 1, both with no integer bits."""
    return shift_left(_newton(raw), 1)


def tanh(raw: Integers, integer_bits: int) -> Integers:
    """The hyperbolic tangent, with no integer bits, of x with ``integer_bits``, at most 4."""
    magnitude = shift_left(_newton(exp_of_negative(-np.abs(raw), integer_bits + 1)) - (1 << 29), 2)
    return np.where(raw < 0, -magnitude, np.where(raw == 0, 0, magnitude))


def logistic(raw: Integers, integer_bits: int) -> Integers:
    """1 / (1 + exp(-x)), with no integer bits, of x with ``integer_bits``, at most 5."""
    of_magnitude = reciprocal_of_one_plus(exp_of_negative(-np.abs(raw), integer_bits))
    return np.where(raw == 0, 1 << 30, np.where(raw > 0, of_magnitude, ONE - of_magnitude))


def _exp_of_last_quarter(raw: Integers) -> Integers:
    """exp(x) for -1/4 <= x < 0 by a Taylor series around -1/8; no integer bits."""
    x = raw + (1 << 28)
    square = multiply(x, x)
    cube, fourth = multiply(square, x), multiply(square, square)
    terms = divide_half_away(multiply(divide_half_away(fourth, 2) + cube, _THIRD) + square, 1)
    return _EXP_MINUS_EIGHTH + multiply(_EXP_MINUS_EIGHTH, x + terms)


def _newton(raw: Integers) -> Integers:
    """2 / (1 + x) for 0 <= x <= 1 without integer bits, by Newton's division; with 2 integer bits."""
    half_denominator = (raw + ONE + 1) >> 1
    x = _48_OVER_17 + multiply(half_denominator, _MINUS_32_OVER_17)
    for _ in range(_NEWTON_STEPS):
        error = (1 << 29) - multiply(half_denominator, x)
        x = x + shift_left(multiply(x, error), 2)
    return x
