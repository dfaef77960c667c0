"""What convolutions and fully connected layers share: exact sums by BLAS, biases, and the way back to 8 or 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.emulate.rounding import (
    Dialect,
    Integers,
    Multiplier,
    Rounding,
    convolution_multipliers,
    fully_connected_multiplier,
    quantise_multiplier,
    requantise,
    requantise_wide,
    rounding_of,
)
from edgefleet_compiler.emulate.site import Site, Values, parameters, scale, zero_point

# Up to here, every integer is a float.
_EXACT: Final[dict[type[np.floating[Any]], int]] = {np.float32: 1 << 24, np.float64: 1 << 53}


@dataclass(frozen=True)
class Weighted:
    """An operator of an activation, weights and perhaps biases.

    Attributes:
        site: The operator.
        dialect: Of the kernel that computes it.
        weights: Integers, channels of the output first.
        sums_in: The narrowest float type in which no sum of products can round.
        multiplier: One, or one for each channel.
        bias: int64, (channels,).
        wide: Whether sums have 64 bits, and multipliers 15.
    """

    site: Site
    dialect: Dialect
    weights: NDArray[np.int8]
    sums_in: type[np.floating[Any]]
    multiplier: Multiplier
    bias: Integers
    wide: bool

    def centred(self, values: Values) -> NDArray[Any]:
        """The activation without its zero point, to be multiplied with ``weights`` as ``sums_in``."""
        real = values.astype(self.sums_in)
        real -= self.sums_in(zero_point(self.site.input(0)))
        return real

    def finish(self, sums: NDArray[Any]) -> Values:
        """Sums of products, channels last, as the output stores them."""
        total = sums.astype(np.int64)
        total += self.bias
        if self.wide:
            scaled = requantise_wide(total, self.multiplier)
        else:
            scaled = requantise(total, self.multiplier, self.dialect, self.site.operator.kind)
        return self.site.clamp(scaled + zero_point(self.site.output))


def weighted(site: Site, *, channel_axis: int = 0) -> Weighted:
    """Read what the kernels of such operators work out before the first inference.

    Args:
        site: The operator.
        channel_axis: Which axis of the weights is the output's channels.

    Raises:
        OperatorUnsupported: Weights are computed, or types do not go together.
    """
    site.require_type("int8", "int16")
    if site.input(1).dtype.name not in ("int8", "int4"):
        raise site.unsupported(f"its weights are {site.input(1).dtype}")
    weights = np.moveaxis(site.constant(1).astype(np.int8), channel_axis, 0)
    has_bias = site.has_input(2)
    bias = site.constant(2).astype(np.int64) if has_bias else np.zeros(len(weights), np.int64)
    wide = site.input(0).dtype == np.int16
    if wide and has_bias and site.input(2).dtype != np.int64:
        raise site.unsupported(f"its biases are {site.input(2).dtype} beside activations of int16")
    dialect = _kernel(site, weights, wide=wide)
    in_float64 = rounding_of(dialect, site.operator.kind) is Rounding.IN_FLOAT64
    of_one = site.operator.kind == "FULLY_CONNECTED" and not parameters(site.input(1)).per_channel
    in_float32 = of_one and not in_float64
    real = (fully_connected_multiplier if in_float32 else convolution_multipliers)(
        scale(site.input(0)), parameters(site.input(1)).scale, scale(site.output)
    )
    multiplier = quantise_multiplier(real)
    return Weighted(site, dialect, weights, _narrowest(site, weights), multiplier, bias, wide and not in_float64)


def _kernel(site: Site, weights: NDArray[np.int8], *, wide: bool) -> Dialect:
    """Whose kernel it is: LiteRT leaves convolutions in groups, and sums of 64 bits, to its reference."""
    in_groups = site.operator.kind == "CONV_2D" and weights.shape[3] < site.input(0).shape[3]
    to_reference = site.dialect is Dialect.LITERT and (in_groups or wide)
    return Dialect.LITERT_REFERENCE if to_reference else site.dialect


def _narrowest(site: Site, weights: NDArray[np.int8]) -> type[np.floating[Any]]:
    limits = np.iinfo(site.input(0).dtype)  # type: ignore[type-var]  # ``weighted`` takes integers alone
    origin = zero_point(site.input(0))
    largest = max(limits.max - origin, origin - limits.min)
    bound = int(np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1).max(initial=0)) * largest
    return next(kind for kind, limit in _EXACT.items() if bound <= limit)
