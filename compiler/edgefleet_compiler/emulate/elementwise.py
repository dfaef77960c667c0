"""ADD, SUB, MUL, MAXIMUM and MINIMUM of integers, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgefleet_compiler.emulate.added_at_once import LEFT_SHIFT, AddedAtOnce, added_at_once
from edgefleet_compiler.emulate.rounding import Dialect, Integers, Multiplier, quantise_multiplier, requantise
from edgefleet_compiler.emulate.site import Run, Site, Values, centred, scale, zero_point


def addition(site: Site) -> Run:
    """ADD: TFLite's ``integer_ops/add.h``."""
    multipliers = _sum_multipliers(site)
    return _sum(site, multipliers, 1, added_at_once(site) if site.dialect is Dialect.LITERT else None)


def subtraction(site: Site) -> Run:
    """SUB: TFLite's ``reference/sub.h``. TFLite Micro works its multipliers out in float32 (``sub_common.cc``)."""
    in_float32 = site.dialect is Dialect.TFLITE_MICRO
    return _sum(site, _sum_multipliers(site, np.float32 if in_float32 else np.float64), -1)


def multiplication(site: Site) -> Run:
    """MUL: TFLite's ``integer_ops/mul.h``. LiteRT works its multiplier out in float32 (``mul.cc``)."""
    site.require_type("int8", "int16")
    precision = np.float64 if site.dialect is Dialect.TFLITE_MICRO else np.float32
    first, second, output = (precision(scale(tensor)) for tensor in (site.input(0), site.input(1), site.output))
    multiplier = quantise_multiplier(first * second / output)

    def run(values: Sequence[Values]) -> Values:
        one, other = (centred(value, site.input(position)) for position, value in enumerate(_aligned(values)))
        product = requantise(one * other, multiplier, site.dialect, "MUL")
        return site.clamp(product + zero_point(site.output))

    return run


def extreme(site: Site) -> Run:
    """MAXIMUM or MINIMUM of what is stored, whatever the scales."""
    choose: Callable[[Values, Values], Values] = np.maximum if site.operator.kind == "MAXIMUM" else np.minimum

    def run(values: Sequence[Values]) -> Values:
        one, other = _aligned(values)
        return choose(one, other)

    return run


def _sum_multipliers(site: Site, precision: type[np.float32 | np.float64] = np.float64) -> list[Multiplier]:
    """Of both inputs, and of the output."""
    site.require_type(*LEFT_SHIFT)
    first, second, output = (precision(scale(tensor)) for tensor in (site.input(0), site.input(1), site.output))
    common = precision(2) * max(first, second)
    shifted = precision(1 << LEFT_SHIFT[site.output.dtype.name]) * output
    return [quantise_multiplier(real) for real in (first / common, second / common, common / shifted)]


def _sum(site: Site, multipliers: list[Multiplier], sign: int, at_once: AddedAtOnce | None = None) -> Run:
    kind, left = site.operator.kind, LEFT_SHIFT[site.output.dtype.name]

    def scaled(value: Values, position: int) -> Integers:
        steps = centred(value, site.input(position))
        singly = requantise(steps << left, multipliers[position], site.dialect, kind)
        if at_once is None:
            return singly
        return np.where(at_once.mask, at_once.scaled(steps, multipliers[position]), singly)

    def run(values: Sequence[Values]) -> Values:
        one, other = (scaled(value, position) for position, value in enumerate(_aligned(values)))
        total = requantise(one + sign * other, multipliers[2], site.dialect, kind)
        return site.clamp(total + zero_point(site.output))

    return run


def _aligned(values: Sequence[Values]) -> list[Values]:
    """The values with as many axes each, so that they broadcast below the axis of cases."""
    rank = max(value.ndim for value in values)
    return [value.reshape(len(value), *(1,) * (rank - value.ndim), *value.shape[1:]) for value in values]
