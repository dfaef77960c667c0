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


class _Rows:
    """Rows of inputs that wait until they are enough for a product.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._random = np.random.default_rng(0)
        self._waiting: list[NDArray[Any]] = []

    def add(self, activation: NDArray[Any]) -> None:
        """Add those of one sample."""
        rows = self._layer.rows(activation, POSITIONS, self._random)
        self._waiting += [rows[:, start : start + ROWS] for start in range(0, rows.shape[1], ROWS)]

    @property
    def count(self) -> int:
        """Rows that wait."""
        return sum(rows.shape[1] for rows in self._waiting)

    def taken(self) -> NDArray[Any]:
        """Up to ``ROWS`` of those that wait; they do no longer."""
        rows = np.concatenate(self._waiting, axis=1)
        self._waiting = [rows[:, ROWS:]]
        return rows[:, :ROWS]


class Gram:
    """Gathers the Gram matrices of one layer, one sample at a time.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Layer) -> None:
        self._rows = _Rows(layer)
        self._scale: float | None = None
        self._sum = np.zeros((layer.groups, layer.inputs, layer.inputs))
        self._total = 0

    def add_integers(self, stored: NDArray[np.integer[Any]], scale: float, zero_point: int) -> None:
        """Add an input that is stored in integers of up to 16 bits, with the same scale every time."""
        exact = np.dtype(np.float32 if stored.itemsize == 1 else np.float64)
        self._scale = scale
        self._add(np.subtract(stored, zero_point, dtype=exact))

    def add_reals(self, activation: NDArray[np.float32]) -> None:
        """Add an input that is float."""
        self._add(activation)

    def matrices(self) -> NDArray[np.float64]:
        """Shape (groups, inputs of a channel, inputs of a channel); zeros before any sample."""
        while self._rows.count:
            self._multiply()
        return self._sum / max(self._total, 1)

    def _add(self, activation: NDArray[Any]) -> None:
        self._rows.add(activation)
        while self._rows.count >= ROWS:
            self._multiply()

    def _multiply(self) -> None:
        rows = self._rows.taken()
        self._total += rows.shape[1]
        steps, step = in_steps(rows) if self._scale is None else (rows, self._scale)
        self._sum += (steps.swapaxes(1, 2) @ steps) * step**2


class CrossGram:
    """Gathers the means of x yᵀ, of the inputs y that a layer has now and those x that it should have.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Layer) -> None:
        self._wanted, self._present = _Rows(layer), _Rows(layer)  # both draw the same positions
        self._sum = np.zeros((layer.groups, layer.inputs, layer.inputs))
        self._total = 0

    def add(self, wanted: NDArray[np.float32], present: NDArray[np.float32]) -> None:
        """Add two inputs of one sample."""
        self._wanted.add(wanted)
        self._present.add(present)
        while self._wanted.count >= ROWS:
            self._multiply()

    def matrices(self) -> NDArray[np.float64]:
        """Shape (groups, inputs of a channel, inputs of a channel); zeros before any sample."""
        while self._wanted.count:
            self._multiply()
        return self._sum / max(self._total, 1)

    def _multiply(self) -> None:
        (wanted, step), (present, other_step) = in_steps(self._wanted.taken()), in_steps(self._present.taken())
        self._total += wanted.shape[1]
        self._sum += (wanted.swapaxes(1, 2) @ present) * (step * other_step)


def in_steps(reals: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Reals as multiples of a power of two, and that."""
    largest = float(np.abs(reals).max(initial=0.0))
    step = 2.0 ** (math.frexp(largest)[1] - FLOAT_BITS)
    return np.rint(reals.astype(np.float64) / step), step
