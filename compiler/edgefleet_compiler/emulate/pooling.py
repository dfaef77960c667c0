"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN: TFLite's ``integer_ops/pooling.h`` and ``reference/reduce.h``."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from edgefleet_compiler.emulate.geometry import Windows, windows_of
from edgefleet_compiler.emulate.rounding import Integers, Multiplier, quantise_multiplier, requantise
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
    """MEAN: the sum less the zero points, times a multiplier that the count of elements has gone into."""
    site.require_type("int8", "int16")
    shape = site.input(0).shape
    axes = sorted({int(axis) % len(shape) for axis in site.constant(1).reshape(-1)})
    count = prod(shape[axis] for axis in axes)
    multiplier = _divided(quantise_multiplier(np.float64(scale(site.input(0))) / np.float64(scale(site.output))), count)
    axes_of_cases = tuple(axis + 1 for axis in axes)

    def run(values: Sequence[Values]) -> Values:
        sums: Integers = values[0].sum(axis=axes_of_cases, dtype=np.int64) - zero_point(site.input(0)) * count
        means = requantise(sums, multiplier, site.dialect, "MEAN") + zero_point(site.output)
        return site.clamp(means).reshape(len(values[0]), *site.output.shape)

    return run


def _divided(multiplier: Multiplier, count: int) -> Multiplier:
    """The multiplier over ``count``, as TFLite divides it: shifted left by as many bits as fit, and truncated."""
    bits = min(count.bit_length() - 1, 32, 31 + int(multiplier.shift))
    fraction = (int(multiplier.fraction) << bits) // count
    return Multiplier(multiplier.real / count, np.asarray(fraction, np.int64), multiplier.shift - bits)


def _pool_windows(site: Site) -> Windows:
    return windows_of(site, (site.operator.integer("filter_height", 1), site.operator.integer("filter_width", 1)))
