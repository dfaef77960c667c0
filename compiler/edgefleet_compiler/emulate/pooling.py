"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN: TFLite's ``integer_ops/pooling.h`` and ``reference/reduce.h``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from edgefleet_compiler.emulate.geometry import Windows, windows_of
from edgefleet_compiler.emulate.rounding import (
    Dialect,
    Integers,
    Multiplier,
    Rounding,
    quantise_multiplier,
    requantise,
    round_half_away,
    rounded_product,
)
from edgefleet_compiler.emulate.site import Run, Site, Values, scale, zero_point


def average_pool(site: Site) -> Run:
    """AVERAGE_POOL_2D: the mean of what a window sees of the image, halves away from zero; scales stay."""
    site.require_type("int8", "int16")
    windows = _pool_windows(site)
    ones = np.ones((1, *site.input(0).shape[1:3], 1), np.int64)
    counts = sum(seen for _, seen in windows.taps(windows.padded(ones, 0)))

    def run(values: Sequence[Values]) -> Values:
        images = values[0].reshape(-1, *values[0].shape[2:]).astype(np.int64)
        sums = sum(seen for _, seen in windows.taps(windows.padded(images, 0)))
        means = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
        return site.clamp(means).reshape(len(values[0]), *site.output.shape)

    return run


def max_pool(site: Site) -> Run:
    """MAX_POOL_2D; scales stay."""
    site.require_type("int8", "int16")
    windows = _pool_windows(site)
    lowest = int(np.iinfo(site.input(0).dtype).min)  # type: ignore[type-var]  # integers, as required

    def run(values: Sequence[Values]) -> Values:
        padded = windows.padded(values[0].reshape(-1, *values[0].shape[2:]), lowest)
        seen = [part for _, part in windows.taps(padded)]
        largest = seen[0].copy()
        for part in seen[1:]:
            np.maximum(largest, part, out=largest)
        return site.clamp(largest.astype(np.int64)).reshape(len(values[0]), *site.output.shape)

    return run


def mean(site: Site) -> Run:
    """MEAN: sums times a multiplier that the count of elements has gone into."""
    site.require_type("int8", "int16")
    shape = site.input(0).shape
    axes = sorted({int(axis) % len(shape) for axis in site.constant(1).reshape(-1)})
    count = prod(shape[axis] for axis in axes)
    axes_of_cases = tuple(axis + 1 for axis in axes)
    of_images = axes == [1, 2] and len(shape) == 4 and bool(site.operator.attributes.get("keep_dims", False))
    by_lanes = site.dialect is Dialect.LITERT and site.input(0).dtype == np.int8 and of_images
    scaled = _mean_of_images(site, count) if by_lanes else _mean(site, count)

    def run(values: Sequence[Values]) -> Values:
        sums = values[0].sum(axis=axes_of_cases, dtype=np.int64)
        return site.clamp(scaled(sums)).reshape(len(values[0]), *site.output.shape)

    return run


def _mean(site: Site, count: int) -> Callable[[Integers], Integers]:
    source, output = site.input(0), site.output
    multiplier = _divided(quantise_multiplier(np.float64(scale(source)) / np.float64(scale(output))), count)

    def scaled(sums: Integers) -> Integers:
        centred = sums - zero_point(source) * count
        return rounded_product(centred, multiplier, Rounding.TWICE_AWAY) + zero_point(output)

    return scaled


def _mean_of_images(site: Site, count: int) -> Callable[[Integers], Integers]:
    """LiteRT's ``optimized/integer_ops/mean.h``: zero points are rounded by themselves, and all in float32."""
    source, output = site.input(0), site.output
    multiplier = quantise_multiplier(scale(source) / (np.float32(count) * scale(output)))
    origin = zero_point(output) - int(round_half_away(np.float32(zero_point(source)) * scale(source) / scale(output)))
    return lambda sums: requantise(sums, multiplier, site.dialect, "MEAN") + origin


def _divided(multiplier: Multiplier, count: int) -> Multiplier:
    """The multiplier over ``count``, as TFLite divides it: shifted left by as many bits as fit, and truncated."""
    bits = min(count.bit_length() - 1, 32, 31 + int(multiplier.shift))
    fraction = (int(multiplier.fraction) << bits) // count
    return Multiplier(multiplier.real / count, np.asarray(fraction, np.int64), multiplier.shift - bits)


def _pool_windows(site: Site) -> Windows:
    return windows_of(site, (site.operator.integer("filter_height", 1), site.operator.integer("filter_width", 1)))
