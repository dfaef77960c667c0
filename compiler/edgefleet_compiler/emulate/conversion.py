"""QUANTIZE and DEQUANTIZE: TFLite's ``reference/quantize.h``, ``requantize.h`` and ``dequantize.h``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgefleet_compiler.emulate.rounding import quantise_multiplier, requantise, round_half_away
from edgefleet_compiler.emulate.site import Run, Site, Values, centred, parameters, scale, zero_point


def quantise(site: Site) -> Run:
    """QUANTIZE, from reals or from other integers."""
    site.require_type("float32", "int8", "uint8", "int16")
    source, output = site.input(0), site.output
    if source.dtype == np.float32:
        return lambda values: site.clamp(_steps(values[0], scale(output)) + zero_point(output))
    multiplier = quantise_multiplier(np.float64(scale(source)) / np.float64(scale(output)))

    def run(values: Sequence[Values]) -> Values:
        scaled = requantise(centred(values[0], source), multiplier, site.dialect, "QUANTIZE")
        return site.clamp(scaled + zero_point(output))

    return run


def dequantise(site: Site) -> Run:
    """DEQUANTIZE of a tensor with one scale."""
    site.require_type("int8", "uint8", "int16")
    source = site.input(0)
    if parameters(source).per_channel:
        raise site.unsupported("its input has a scale for each channel")
    return lambda values: centred(values[0], source).astype(np.float32) * scale(source)


def _steps(reals: Values, step: np.float32) -> Values:
    """Reals in steps of the output, no further out than 32 bits."""
    return round_half_away(np.clip(reals / step, -(2.0**30), 2.0**30))
