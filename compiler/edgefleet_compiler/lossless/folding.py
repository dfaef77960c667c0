"""What constant channels add to the sums of a layer with weights, and whether a bias can stand for it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lossless.weighted import Integers, Weighted

Mask = NDArray[np.bool_]
"""Which channels, shape (channels,)."""

_LIMITS: Final = np.iinfo(np.int32)


def contribution(layer: Weighted, channels: Integers, steps: Integers) -> Integers:
    """What constant channels add to each output's sum at each place where a window can stand.

    Args:
        layer: Mixes channels.
        channels: The constant ones, shape (n,).
        steps: Their values minus the zero point.

    Returns:
        Shape (outputs, places).
    """
    return layer.over_places(layer.weights[..., channels] @ steps)


def must_stay(
    layer: Weighted, outputs: NDArray[np.bool_], steps: Integers, constant: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The channels that a layer needs for the outputs that stay.

    Args:
        layer: Mixes channels.
        outputs: The outputs that stay, shape (outputs,).
        steps: Of the constant channels, value minus zero point; shape (channels,).
        constant: The constant channels.

    Returns:
        Shape (channels,): those that some output multiplies by another weight than 0, unless they are constant and
        add the same to an output wherever its window stands. Near a border, where the padding is 0, they mostly do
        not.
    """
    multiplied = layer.multiplied(outputs)
    needed: Mask = multiplied & ~constant
    lowest = highest = layer.bias[outputs]
    folded = []
    for channel in np.flatnonzero(multiplied & constant & (steps != 0)):
        added = contribution(layer, np.array([channel]), steps[[channel]])[outputs]
        if (added != added[:, :1]).any():
            needed[channel] = True
            continue
        folded.append(channel)
        lowest, highest = lowest + np.minimum(added[:, 0], 0), highest + np.maximum(added[:, 0], 0)
    if (lowest < _LIMITS.min).any() or (highest > _LIMITS.max).any():  # by whichever of them go in the end
        needed[folded] = True
    return needed
