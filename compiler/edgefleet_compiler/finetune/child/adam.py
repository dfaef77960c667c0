"""The optimiser: Adam, whose steps are in relation to the weights that they change.

Source: Kingma and Ba 2015 (1412.6980), algorithm 1. Batch norms are folded into the weights of a hub, and its inputs
may be raw pixels, so that no one step fits all weights, and steps that all weights of a channel take move its mean far:

- Steps are scaled by the root mean square of what they change, as in Shazeer and Stern 2018, "Adafactor" (1804.04235),
  section 8; of convolutions channel by channel.
- Gradients of convolutions are centred by channel (Yong et al. 2020, "Gradient Centralization", 2004.01461, eq. 1);
  what moves means is left to the biases.
- Gradients are clipped by their global norm (Pascanu et al. 2013, 1211.5063, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgefleet_compiler.finetune.child.held import Tensor

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8
_LEAST_SHARE = 0.1  # of the scale of all channels: those that are nearly zero move, too
_LEAST_SCALE = 1e-3  # of weights that are all zero; the epsilon_2 of Adafactor
_MATRIX = 2  # the rank up to which weights have no spatial axes
_LARGEST_NORM = 1.0


class Adam:
    """The state of the optimiser.

    Args:
        variables: What it changes.
        initial: What they were before any training, from which their scales are taken.
    """

    def __init__(self, variables: Sequence[Any], initial: Sequence[NDArray[np.float32]]) -> None:
        self._variables = list(variables)
        self._scales = [_scale_of(array) for array in initial]
        self.first = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]
        self.second = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]

    def apply(self, gradients: Sequence[Tensor | None], rate: Tensor, step: Tensor) -> None:
        """Change the variables.

        Args:
            gradients: One for each variable; None for those that the loss does not depend on.
            rate: The learning rate, float32.
            step: From 1, float32.
        """
        known = [
            tf.zeros_like(variable) if gradient is None else _centred(gradient)
            for variable, gradient in zip(self._variables, gradients, strict=True)
        ]
        clipped, _ = tf.clip_by_global_norm(known, _LARGEST_NORM)
        correction = tf.sqrt(1 - _SECOND**step) / (1 - _FIRST**step)
        states = zip(self._variables, clipped, self.first, self.second, self._scales, strict=True)
        for variable, gradient, first, second, scale in states:
            first.assign(_FIRST * first + (1 - _FIRST) * gradient)
            second.assign(_SECOND * second + (1 - _SECOND) * tf.square(gradient))
            variable.assign_sub(rate * scale * correction * first / (tf.sqrt(second) + _EPSILON))


def _centred(gradient: Tensor) -> Tensor:
    """The gradient of a convolution without the mean of each output channel; others as they are."""
    if gradient.shape.rank <= _MATRIX:
        return gradient
    return gradient - tf.reduce_mean(gradient, axis=list(range(1, gradient.shape.rank)), keepdims=True)


def _scale_of(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each output channel of a convolution, shape (channels, 1, ...); of other parameters as a whole, shape ()."""
    squares = np.square(array, dtype=np.float64)
    whole = float(np.sqrt(squares.mean())) or _LEAST_SCALE
    if array.ndim <= _MATRIX:
        return np.asarray(whole, np.float32)
    channels = np.sqrt(squares.mean(axis=tuple(range(1, array.ndim)), keepdims=True))
    return np.asarray(np.maximum(channels, _LEAST_SHARE * whole), np.float32)
