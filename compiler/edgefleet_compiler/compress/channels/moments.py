"""Second moments of what a layer takes and of what it is to give: all that least squares needs.

Sums are exact, as those of ``quantise/rounding/gram``: the same bits come out on any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.rounding.gram import in_steps
from edgefleet_compiler.quantise.rounding.quadratic import Matrices

_MOST_ROWS = 4096
"""Of one product: so many products of two numbers of ``gram.FLOAT_BITS`` bits are at most 2**52, and sums exact."""

_ELEMENTS = 2 * 1024 * 1024
"""Of the inputs of one product, 16 MiB."""


class Moments:
    """Gathers the means of x xᵀ and t xᵀ over rows x of inputs, each with a last element 1, and wanted results t.

    Args:
        groups: Matrices of the layer.
        inputs: Elements of x without the 1.
        channels: Elements of t; 0 where there are no results.
    """

    def __init__(self, groups: int, inputs: int, channels: int = 0) -> None:
        self._most = max(1, min(_MOST_ROWS, _ELEMENTS // (groups * inputs)))
        self._squares = np.zeros((groups, inputs + 1, inputs + 1))
        self._products = np.zeros((groups, channels, inputs + 1))
        self._rows: list[NDArray[Any]] = []
        self._results: list[NDArray[Any]] = []
        self._waiting = 0
        self._total = 0

    def add(self, rows: NDArray[Any], results: NDArray[Any] | None = None) -> None:
        """Add those of one case.

        Args:
            rows: Shape (groups, positions, inputs).
            results: Shape (groups, positions, channels).
        """
        for start in range(0, rows.shape[1], self._most):
            part = slice(start, start + self._most)
            if self._waiting + rows[:, part].shape[1] > self._most:
                self._multiply()
            self._rows.append(rows[:, part])
            self._waiting += rows[:, part].shape[1]
            if results is not None:
                self._results.append(results[:, part])

    def squares(self) -> Matrices:
        """Means of x xᵀ, shape (groups, inputs + 1, inputs + 1)."""
        self._multiply()
        return self._squares / max(self._total, 1)

    def products(self) -> Matrices:
        """Means of t xᵀ, shape (groups, channels, inputs + 1)."""
        self._multiply()
        return self._products / max(self._total, 1)

    def _multiply(self) -> None:
        if not self._rows:
            return
        rows = np.concatenate(self._rows, axis=1)
        steps, step = in_steps(rows)
        squares, sums = steps.swapaxes(1, 2) @ steps, steps.sum(axis=1)
        count = rows.shape[1]
        self._squares[:, :-1, :-1] += squares * step**2
        self._squares[:, -1, :-1] += sums * step
        self._squares[:, :-1, -1] += sums * step
        self._squares[:, -1, -1] += count
        if self._results:
            wanted, other = in_steps(np.concatenate(self._results, axis=1))
            self._products[..., :-1] += (wanted.swapaxes(1, 2) @ steps) * (other * step)
            self._products[..., -1] += wanted.sum(axis=1) * other
        self._total += count
        self._rows, self._results, self._waiting = [], [], 0
