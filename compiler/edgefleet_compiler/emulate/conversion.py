"""QUANTIZE and DEQUANTIZE: TFLite's ``reference/quantize.h``, ``requantize.h`` and ``dequantize.h``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgefleet_compiler.emulate.rounding import (
    Dialect,
    Integers,
    Rounding,
    quantise_multiplier,
    requantise,
    round_half_away,
    rounded_product,
)
from edgefleet_compiler.emulate.site import Run, Site, Values, centred, parameters, scale, zero_point
from edgefleet_compiler.lowered.graph import Tensor

_LANES: Final = 8
_FURTHEST: Final = 2.0**30


def quantise(site: Site) -> Run:
    """QUANTIZE, from reals or from other integers."""
    site.require_type("float32", "int8", "uint8", "int16")
    source, output = site.input(0), site.output
    by_lanes = site.dialect is Dialect.LITERT and output.dtype == np.int8
    if source.dtype == np.float32:
        steps = _steps_in_lanes if by_lanes else _steps
        return lambda values: site.clamp(_flat(values[0], lambda flat: steps(flat, scale(output))) + zero_point(output))
    multiplier = quantise_multiplier(np.float64(scale(source)) / np.float64(scale(output)))
    by_lanes = by_lanes and source.dtype == np.int8

    def scaled(flat: Values) -> Integers:
        if by_lanes:
            return requantise(flat, multiplier, site.dialect, "QUANTIZE")
        return rounded_product(flat, multiplier, Rounding.TWICE_AWAY)

    return lambda values: site.clamp(_flat(centred(values[0], source), scaled) + zero_point(output))


def dequantise(site: Site) -> Run:
    """DEQUANTIZE of a tensor with one scale."""
    site.require_type("int8", "uint8", "int16")
    source = site.input(0)
    if parameters(source).per_channel:
        raise site.unsupported("its input has a scale for each channel")
    if site.dialect is Dialect.LITERT and source.dtype != np.int16:
        return lambda values: _flat(values[0], lambda flat: _reals_in_lanes(flat, source))
    return lambda values: centred(values[0], source).astype(np.float32) * scale(source)


def _reals_in_lanes(stored: Values, tensor: Tensor) -> Values:
    """As LiteRT's ``optimized_ops.h``: eight at once, zero points multiplied by themselves; the rest one by one."""
    whole, step = stored.shape[-1] // _LANES * _LANES, scale(tensor)
    origin = np.float32(-zero_point(tensor)) * step
    at_once = stored[..., :whole].astype(np.float32) * step + origin
    return np.concatenate([at_once, centred(stored[..., whole:], tensor).astype(np.float32) * step], axis=-1)


def _steps(reals: Values, step: np.float32) -> Integers:
    return round_half_away(_within(reals / step))


def _steps_in_lanes(reals: Values, step: np.float32) -> Integers:
    """As LiteRT's ``optimized_ops.h``: eight at once by the reciprocal, ties to even; the rest divided in float64."""
    whole = reals.shape[-1] // _LANES * _LANES
    at_once = np.rint(_within(reals[..., :whole] * (np.float32(1) / step))).astype(np.int64)
    rest = round_half_away(_within(reals[..., whole:].astype(np.float64) / np.float64(step)))
    return np.concatenate([at_once, rest], axis=-1)


def _within(steps: Values) -> Values:
    """No further out than fits 32 bits with a zero point."""
    return np.clip(steps, -_FURTHEST, _FURTHEST)


def _flat(values: Values, compute: Callable[[Values], Values]) -> Values:
    """All elements of a case side by side, as kernels that know no axes take them."""
    return compute(values.reshape(len(values), -1)).reshape(values.shape)
