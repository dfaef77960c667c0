"""How runtimes bring a 32-bit sum to the scale of an output: a multiplication in fixed point, rounded in their way.

The product is rounded once or twice; where ties fall differs between runtimes, and between kernels of one runtime.
LiteRT's reference kernel of fully connected layers multiplies in float64 instead. Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (arXiv 1712.05877),
section 2.2, has the scheme; gemmlowp's ``fixedpoint.h`` (SaturatingRoundingDoublingHighMul, RoundingDivideByPOT) and
TFLite's ``kernels/internal/common.cc`` have the roundings.

Every function here that rounds is exact, works element by element, and never decreases where its argument grows: the
bounds of an interval give the bounds of its image.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgefleet_contract.errors import ModelMalformed

Integers = NDArray[np.int64]

_FRACTION_BITS: Final = 31  # of a multiplier
_REDUCED_BITS: Final = 15  # of a multiplier of 64-bit sums
_LARGEST_TO_REDUCE: Final = 0x7FFF0000  # from here on, rounding to 15 bits would carry
_SIGN: Final = 63  # the place of the sign bit
_LEAST_SHIFT: Final = -31  # of what is smaller nothing would be left: the kernels take 0


class Dialect(StrEnum):
    """Whose integers: the runtime, and how it is told to run.

    LITERT is LiteRT without delegates, as its wheels for x86-64 are built (SSE 4.1); LITERT_REFERENCE its reference
    resolver. What XNNPACK computes, LiteRT's default delegate, is none of these.
    """

    TFLITE_MICRO = "tflite-micro"
    LITERT = "litert"
    LITERT_REFERENCE = "litert-reference"


class Rounding(StrEnum):
    """How the product of a 32-bit sum and a multiplier loses its fraction.

    TWICE_AWAY: in fixed point, to 31 bits and then by the shift, ties away from zero. TWICE_UP: the same, ties up.
    IN_FLOAT64: once, by the real multiplier in float64, ties away from zero.
    """

    TWICE_AWAY = "twice-away"
    TWICE_UP = "twice-up"
    IN_FLOAT64 = "in-float64"


@dataclass(frozen=True)
class Multiplier:
    """What sums are multiplied by: one number, or one for each channel.

    Attributes:
        real: float64, any shape, not negative.
        fraction: The same in fixed point, int64 of that shape: 2**30 <= fraction < 2**31, or 0 with a shift of 0.
        shift: real is about fraction * 2**(shift - 31); -31 or more.
    """

    real: NDArray[np.float64]
    fraction: Integers
    shift: Integers

    def part(self, channels: slice) -> Multiplier:
        """Those of some channels; itself where there is one for all."""
        if self.real.size == 1:
            return self
        return Multiplier(self.real[channels], self.fraction[channels], self.shift[channels])


# What the kernels do that do not round twice with ties away from zero.
_OTHER: Final[dict[Dialect, dict[str, Rounding]]] = {
    Dialect.TFLITE_MICRO: {},
    Dialect.LITERT: dict.fromkeys(
        ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "QUANTIZE"), Rounding.TWICE_UP
    ),
    Dialect.LITERT_REFERENCE: {"FULLY_CONNECTED": Rounding.IN_FLOAT64},
}
# Kernels of LiteRT that take so many elements of the last axis at once; what is left they round as all others do.
_LANES: Final = {"DEPTHWISE_CONV_2D": 8, "MEAN": 16, "QUANTIZE": 16}


def rounding_of(dialect: Dialect, kind: str) -> Rounding:
    """How the kernel of an operator rounds, where it takes elements at once.

    Args:
        dialect: Whose kernel.
        kind: The operator, as in ``Operator.kind``.
    """
    return _OTHER[dialect].get(kind, Rounding.TWICE_AWAY)


def roundings_of(dialect: Dialect, kind: str, count: int) -> list[tuple[slice, Rounding]]:
    """How the kernel of an operator rounds, by parts of the last axis of its output.

    Args:
        dialect: Whose kernel.
        kind: The operator, as in ``Operator.kind``.
        count: Elements of the last axis.
    """
    rounding = rounding_of(dialect, kind)
    if dialect is not Dialect.LITERT or kind not in _LANES:
        return [(slice(None), rounding)]
    whole = count // _LANES[kind] * _LANES[kind]
    return [(slice(whole), rounding), (slice(whole, None), Rounding.TWICE_AWAY)]


def quantise_multiplier(real: ArrayLike) -> Multiplier:
    """Real multipliers in fixed point, as TFLite's ``QuantizeMultiplier`` has them; what is below 2**-32 is 0.

    Args:
        real: Any shape, not negative.
    """
    real = np.asarray(real, np.float64)
    mantissa, exponent = np.frexp(real)
    fraction = np.floor(np.ldexp(mantissa, _FRACTION_BITS) + 0.5).astype(np.int64)
    shift = exponent.astype(np.int64)
    carries = fraction == 1 << _FRACTION_BITS
    fraction, shift = np.where(carries, fraction >> 1, fraction), np.where(carries, shift + 1, shift)
    vanishes = (shift < _LEAST_SHIFT) | (fraction == 0)
    return Multiplier(real, np.where(vanishes, 0, fraction), np.where(vanishes, 0, shift))


def convolution_multipliers(inputs: ArrayLike, weights: ArrayLike, outputs: ArrayLike) -> NDArray[np.float64]:
    """The real multipliers of convolutions, and of fully connected layers with a scale for each channel.

    Args:
        inputs: The float32 scale of the input.
        weights: float32, (channels,) or (1,).
        outputs: The float32 scale of the output.
    """
    product = np.asarray(inputs, np.float64) * np.asarray(weights, np.float64)
    return np.asarray(product / np.asarray(outputs, np.float64))


def fully_connected_multiplier(inputs: ArrayLike, weights: ArrayLike, outputs: ArrayLike) -> NDArray[np.float64]:
    """The real multiplier of a fully connected layer whose weights have one scale.

    Its first product is of float32, as in TFLite's ``GetQuantizedConvolutionMultipler``: not that of a convolution.
    Kernels that multiply in float64 (``Rounding.IN_FLOAT64``) take that of a convolution.
    """
    product = np.asarray(inputs, np.float32) * np.asarray(weights, np.float32)
    return np.asarray(product.astype(np.float64) / np.asarray(outputs, np.float64))


def requantise(accumulators: ArrayLike, multiplier: Multiplier, dialect: Dialect, kind: str) -> Integers:
    """Sums of 32 bits times a multiplier, rounded as a kernel rounds; the output's zero point is not added yet.

    Args:
        accumulators: Integers of any shape that fit 32 bits; channels last where ``multiplier`` has several.
        multiplier: Against which ``accumulators`` broadcast.
        dialect: Whose kernel.
        kind: Of which operator.

    Raises:
        ModelMalformed: A sum leaves 32 bits, where kernels overflow.
    """
    sums = np.asarray(accumulators, np.int64)
    parts = roundings_of(dialect, kind, sums.shape[-1] if sums.ndim else 1)
    if len(parts) == 1:
        return rounded_product(sums, multiplier, parts[0][1])
    rounded = [rounded_product(sums[..., part], multiplier.part(part), rounding) for part, rounding in parts]
    return np.concatenate(rounded, axis=-1)


def rounded_product(accumulators: ArrayLike, multiplier: Multiplier, rounding: Rounding) -> Integers:
    """``requantise`` with one rounding for all elements."""
    sums = np.asarray(accumulators, np.int64)
    if rounding is Rounding.IN_FLOAT64:
        return round_half_away(sums * multiplier.real)
    high = divide_half_up(_shifted_left(sums, multiplier.shift) * multiplier.fraction, _FRACTION_BITS)
    right = np.maximum(-multiplier.shift, 0)
    return divide_half_away(high, right) if rounding is Rounding.TWICE_AWAY else divide_half_up(high, right)


def requantise_wide(accumulators: ArrayLike, multiplier: Multiplier) -> Integers:
    """Sums of 64 bits times a multiplier of which 15 bits are kept, rounded once, ties up: int16 with int64 biases.

    Every dialect does this alike. Args as of ``requantise``; sums below 2**47.

    Raises:
        ModelMalformed: A sum leaves 48 bits.
    """
    sums, fraction = np.asarray(accumulators, np.int64), multiplier.fraction
    _refuse_overflow(sums, 47, np.int64(0))
    reduced = np.where(fraction < _LARGEST_TO_REDUCE, (fraction + (1 << 15)) >> 16, 0x7FFF)
    return divide_half_up(sums * reduced, _REDUCED_BITS - multiplier.shift)


def divide_half_up(values: ArrayLike, exponent: ArrayLike) -> Integers:
    """``values`` over 2**``exponent`` to the nearest integer, ties up."""
    exponent = np.asarray(exponent, np.int64)
    half = (np.int64(1) << exponent) >> 1
    return np.asarray((np.asarray(values, np.int64) + half) >> exponent)


def divide_half_away(values: ArrayLike, exponent: ArrayLike) -> Integers:
    """``values`` over 2**``exponent`` to the nearest integer, ties away from zero."""
    values, exponent = np.asarray(values, np.int64), np.asarray(exponent, np.int64)
    half = (np.int64(1) << exponent) >> 1
    below_zero = values >> _SIGN  # -1 or 0: ties of negative values then round down
    return np.asarray((values + half + (below_zero & -(exponent > 0).astype(np.int64))) >> exponent)


def round_half_away(reals: ArrayLike) -> Integers:
    """To the nearest integer, ties away from zero, as C's ``round``."""
    reals = np.asarray(reals)
    magnitude = np.abs(reals)
    whole = np.floor(magnitude)
    return np.asarray(np.copysign(whole + (magnitude - whole >= 0.5), reals), np.int64)


def _shifted_left(sums: Integers, shift: Integers) -> Integers:
    left = np.maximum(shift, 0)
    if not left.any():
        _refuse_overflow(sums, 31, np.int64(0))
        return sums
    _refuse_overflow(sums, 31, left)
    return np.asarray(sums << left)


def _refuse_overflow(sums: Integers, bits: int, left: ArrayLike) -> None:
    """Refuse sums that, shifted left, take more than ``bits`` bits beside their sign."""
    allowed = np.right_shift(np.int64(1) << bits, left)
    if not sums.size or (_largest(sums) < allowed).all() or (np.abs(sums) < allowed).all():
        return
    raise ModelMalformed(
        f"A sum reaches {_largest(sums)}, where kernels overflow and each runtime gives something else",
        expected=f"sums below {np.min(allowed)}",
        remedy="Look for a bias or an output scale that does not fit the rest of the model.",
        largest=_largest(sums),
    )


def _largest(sums: Integers) -> int:
    """The largest magnitude."""
    return max(int(sums.max()), -int(sums.min()))
