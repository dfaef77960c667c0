"""Gram matrices: the mean of x xᵀ over the inputs x of a layer, by which rounding errors of its weights count.

Of an error E of the weights, E H Eᵀ has the mean square errors of the layer's output channels in its diagonal (Frantar
and Alistarh 2022, "Optimal Brain Compression", section 3).

Sums are exact, so that the same bits come out on however many threads the BLAS library computes them, and on whatever
processor: inputs are integers here (those stored, or multiples of a power of two), and of so many rows at once that
every sum of products fits the mantissa.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.rounding.layer import Layer

POSITIONS = 64
"""Output positions of a convolution that one sample gives rows for; neighbours say nearly the same."""

ROWS = 256
"""Rows of one product. 256 products of int8 numbers without their zero points, at most 255 each, are below 2**24."""

FLOAT_BITS = 20
"""Bits of a float input's largest magnitude that are kept: 256 products of two such are below 2**53."""


class Gram:
    """Gathers the Gram matrices of one layer, one sample at a time.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._random = np.random.default_rng(0)
        self._sum = np.zeros((layer.groups, layer.inputs, layer.inputs))
        self._waiting: list[NDArray[Any]] = []
        self._step = 1.0
        self._total = 0

    def add_integers(self, stored: NDArray[np.integer[Any]], scale: float, zero_point: int) -> None:
        """Add an input that is stored in integers of up to 16 bits."""
        exact = np.dtype(np.float32 if stored.itemsize == 1 else np.float64)
        self._add(np.subtract(stored, zero_point, dtype=exact), scale)

    def add_reals(self, activation: NDArray[np.float32]) -> None:
        """Add an input that is float."""
        largest = float(np.abs(activation).max(initial=0.0))
        step = 2.0 ** (math.frexp(largest)[1] - FLOAT_BITS)
        self._add(np.rint(activation.astype(np.float64) / step), step)

    def matrices(self) -> NDArray[np.float64]:
        """Shape (groups, inputs of a channel, inputs of a channel); zeros before any sample."""
        self._flush()
        return self._sum / max(self._total, 1)

    def _add(self, activation: NDArray[Any], step: float) -> None:
        if step != self._step:
            self._flush()
            self._step = step
        rows = self._layer.rows(activation, POSITIONS, self._random)
        for start in range(0, rows.shape[1], ROWS):
            part = rows[:, start : start + ROWS]
            if sum(waiting.shape[1] for waiting in self._waiting) + part.shape[1] > ROWS:
                self._flush()
            self._waiting.append(part)

    def _flush(self) -> None:
        """Add the products of the rows that wait."""
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting, axis=1)
        self._waiting = []
        self._sum += (rows.swapaxes(1, 2) @ rows) * self._step**2
        self._total += rows.shape[1]
