"""Moments of what a layer takes and of what it is to give: all that least squares needs.

Sums are exact, as those of ``quantise/rounding/gram``: the same bits come out on any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.rounding.gram import in_steps
from edgefleet_compiler.quantise.rounding.quadratic import Matrices

_MOST_ROWS = 4096
"""Of one product: so many products of two numbers of ``gram.FLOAT_BITS`` bits are at most 2**52, and sums exact."""

_ELEMENTS = 2 * 1024 * 1024
"""Of the inputs of one product, 16 MiB."""


@dataclass(frozen=True)
class Moments:
    """Of inputs x and wanted outputs y of a layer.

    Attributes:
        count: Rows.
        input_mean: Shape (groups, inputs).
        output_mean: Shape (groups, channels).
        inputs: Means of x xᵀ, shape (groups, inputs, inputs).
        cross: Means of y xᵀ, shape (groups, channels, inputs).
    """

    count: int
    input_mean: Matrices
    output_mean: Matrices
    inputs: Matrices
    cross: Matrices

    @property
    def covariance(self) -> Matrices:
        """Of the inputs."""
        return self.inputs - self.input_mean[:, :, np.newaxis] * self.input_mean[:, np.newaxis, :]

    @property
    def cross_covariance(self) -> Matrices:
        """Of the outputs and the inputs."""
        return self.cross - self.output_mean[:, :, np.newaxis] * self.input_mean[:, np.newaxis, :]

    @property
    def augmented_inputs(self) -> Matrices:
        """Means of x xᵀ with a 1 as the last element of x, shape (groups, inputs + 1, inputs + 1)."""
        ones = np.full((len(self.inputs), 1), float(self.count > 0))
        beside = np.concatenate([self.inputs, self.input_mean[:, np.newaxis]], axis=1)
        last = np.concatenate([self.input_mean, ones], axis=1)
        return np.concatenate([beside, last[:, :, np.newaxis]], axis=2)

    @property
    def augmented_cross(self) -> Matrices:
        """Means of y xᵀ with a 1 as the last element of x, shape (groups, channels, inputs + 1)."""
        return np.concatenate([self.cross, self.output_mean[:, :, np.newaxis]], axis=2)

    def joined(self, other: Moments) -> Moments:
        """Those of all rows."""
        share = self.count / max(self.count + other.count, 1)

        def mean(one: Matrices, two: Matrices) -> Matrices:
            return share * one + (1 - share) * two

        return Moments(
            self.count + other.count,
            mean(self.input_mean, other.input_mean),
            mean(self.output_mean, other.output_mean),
            mean(self.inputs, other.inputs),
            mean(self.cross, other.cross),
        )


class Gathering:
    """Gathers the moments of rows, those of each call in steps of their own.

    Args:
        groups: Matrices of the layer.
        inputs: Elements of x.
        channels: Elements of y; 0 where only inputs are of interest.

    Attributes:
        most: Rows of one product.
    """

    def __init__(self, groups: int, inputs: int, channels: int = 0) -> None:
        self.most = max(1, min(_MOST_ROWS, _ELEMENTS // (groups * inputs)))
        self._count = 0
        self._x, self._y = np.zeros((groups, inputs)), np.zeros((groups, channels))
        self._xx, self._yx = np.zeros((groups, inputs, inputs)), np.zeros((groups, channels, inputs))

    def add(self, rows: NDArray[Any], results: NDArray[Any] | None = None) -> None:
        """Add rows of inputs, and what is wanted of each.

        Args:
            rows: Shape (groups, positions, inputs).
            results: Shape (groups, positions, channels); None where there are no channels.
        """
        for start in range(0, rows.shape[1], self.most):
            part = slice(start, start + self.most)
            self._multiply(rows[:, part], None if results is None else results[:, part])

    def moments(self) -> Moments:
        """Of all rows; zeros before any."""
        count = max(self._count, 1)
        return Moments(self._count, self._x / count, self._y / count, self._xx / count, self._yx / count)

    def _multiply(self, rows: NDArray[Any], results: NDArray[Any] | None) -> None:
        x, step = in_steps(rows)
        self._count += x.shape[1]
        self._x += x.sum(axis=1) * step
        self._xx += (x.swapaxes(1, 2) @ x) * step**2
        if results is not None:
            y, other_step = in_steps(results)
            self._y += y.sum(axis=1) * other_step
            self._yx += (y.swapaxes(1, 2) @ x) * (step * other_step)


class Pool:
    """Hands a gathering the rows of many cases at once: of a thousand cases, one product each takes far longer.

    Args:
        gathering: That gets them.
    """

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._rows: list[NDArray[Any]] = []
        self._results: list[NDArray[Any]] = []
        self._waiting = 0

    def add(self, rows: NDArray[Any], results: NDArray[Any] | None = None) -> None:
        """Add those of one case, as to the gathering."""
        most = self._gathering.most
        for start in range(0, rows.shape[1], most):
            part = slice(start, start + most)
            if self._waiting + rows[:, part].shape[1] > most:
                self._empty()
            self._rows.append(rows[:, part])
            self._waiting += rows[:, part].shape[1]
            if results is not None:
                self._results.append(results[:, part])

    def moments(self) -> Moments:
        """Of all cases; zeros before any."""
        self._empty()
        return self._gathering.moments()

    def _empty(self) -> None:
        if self._rows:
            results = np.concatenate(self._results, axis=1) if self._results else None
            self._gathering.add(np.concatenate(self._rows, axis=1), results)
        self._rows, self._results, self._waiting = [], [], 0
