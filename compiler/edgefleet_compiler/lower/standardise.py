"""Zero mean and unit variance over some axes: what layer, instance and group normalisation share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgefleet_compiler.lower.site import Site


def standardised(site: Site, tensor: str, positions: Sequence[int], epsilon: float) -> tuple[str, str, str]:
    """Subtract the mean and divide by the standard deviation.

    Ba, Kiros and Hinton 2016, "Layer Normalization", equation 4: (x - mean) / sqrt(variance + epsilon).

    Args:
        site: Where the operators are added.
        tensor: float32.
        positions: The axes over which mean and variance are taken, as ``tensor`` stores them.
        epsilon: Added to the variance.

    Returns:
        The result, the means and the inverse standard deviations; the latter two keep the axes, with length 1.
    """
    shape = site.stored_shape(tensor)
    means = mean(site, tensor, positions)
    narrow = site.stored_shape(means)
    centred = site.emit("SUB", [tensor, means], shape)
    variance = mean(site, site.emit("MUL", [centred, centred], shape), positions)
    raised = site.emit("ADD", [variance, site.add_float("epsilon", np.array([epsilon]))], narrow)
    inverse = site.emit("RSQRT", [raised], narrow)
    return site.emit("MUL", [centred, inverse], shape), means, inverse


def mean(site: Site, tensor: str, positions: Sequence[int]) -> str:
    """The mean over some axes, which stay with length 1."""
    shape = tuple(1 if position in positions else size for position, size in enumerate(site.stored_shape(tensor)))
    return site.emit("MEAN", [tensor, site.add_setting("axes", sorted(positions))], shape, {"keep_dims": True})


def scaled_and_shifted(site: Site, tensor: str, channel_axis: int | None = None) -> str:
    """``tensor`` times input 1 plus input 2 of the node, both constants; the latter may be left out.

    Args:
        site: Where the operators are added.
        tensor: float32.
        channel_axis: Where ``tensor`` stores the axis that the constants are for; None where they broadcast as ONNX
            has it, along the last axes.

    Raises:
        Unsupported: They are no constants.
    """
    shape = site.stored_shape(tensor)
    for index, (kind, name) in enumerate((("MUL", "scale"), ("ADD", "bias")), start=1):
        numbers = site.setting(index, name)
        if numbers is None or np.all(numbers == (1 if kind == "MUL" else 0)):
            continue
        if channel_axis is not None:
            numbers = numbers.reshape([-1 if axis == channel_axis else 1 for axis in range(len(shape))])
        tensor = site.emit(kind, [tensor, site.add_float(name, numbers.astype(np.float32))], shape)
    return tensor
