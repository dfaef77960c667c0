"""CONV_2D and DEPTHWISE_CONV_2D: TFLite's ``kernels/internal/reference/integer_ops``, ``conv.h`` and beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgefleet_compiler.emulate.geometry import windows_of
from edgefleet_compiler.emulate.site import Run, Site, Values
from edgefleet_compiler.emulate.weighted import weighted


def convolution(site: Site) -> Run:
    """CONV_2D, in groups where the weights have fewer channels than the image."""
    layer = weighted(site)
    channels, rows, columns, depth = layer.weights.shape
    windows = windows_of(site, (rows, columns))
    groups = site.input(0).shape[3] // depth
    # A patch is channels, rows, columns; one matrix for each group.
    matrices = layer.weights.transpose(0, 3, 1, 2).reshape(groups, channels // groups, -1)
    matrices = matrices.transpose(0, 2, 1).astype(layer.sums_in)

    def run(values: Sequence[Values]) -> Values:
        cases = len(values[0])
        images = layer.centred(values[0].reshape(-1, *values[0].shape[2:]))
        patches = windows.patches(windows.padded(images, 0))
        pixels = patches.shape[:3]
        sums = [
            patches[..., group * depth : (group + 1) * depth, :, :].reshape(-1, matrix.shape[0]) @ matrix
            for group, matrix in enumerate(matrices)
        ]
        joined = sums[0] if groups == 1 else np.concatenate(sums, axis=1)
        return layer.finish(joined.reshape(cases, -1, *pixels[1:], channels))

    return run


def depthwise_convolution(site: Site) -> Run:
    """DEPTHWISE_CONV_2D; each channel of the image gives as many as the weights have for it."""
    layer = weighted(site, channel_axis=3)
    channels, _, rows, columns = layer.weights.shape
    windows = windows_of(site, (rows, columns))
    times = channels // site.input(0).shape[3]
    # Repeated along a row of windows, so that numpy multiplies whole rows at once.
    weights = np.repeat(layer.weights.transpose(2, 3, 1, 0).astype(layer.sums_in), windows.columns.outputs, axis=2)

    def run(values: Sequence[Values]) -> Values:
        cases = len(values[0])
        images = layer.centred(values[0].reshape(-1, *values[0].shape[2:]))
        padded = windows.padded(images if times == 1 else np.repeat(images, times, axis=3), 0)
        sums = np.zeros((len(padded), windows.rows.outputs, windows.columns.outputs, channels), layer.sums_in)
        product = np.empty_like(sums)
        for place, seen in windows.taps(padded):
            np.multiply(seen, weights[place], out=product)
            sums += product
        return layer.finish(sums.reshape(cases, -1, *sums.shape[1:]))

    return run
