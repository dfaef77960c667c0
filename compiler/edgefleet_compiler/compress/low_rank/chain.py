"""The matrices of a layer's chain: found by the moments of its inputs, and put together again to what they compute.

Matrices have the output channels in rows, and in columns the input channels with their places in the kernel, as
``quantise.rounding.layer`` has them.

Sources: svd of convolutions: Zhang, Zou, He, Sun 2016, arXiv:1505.06798, section 3.1. spatial: Jaderberg, Vedaldi,
Zisserman 2014, arXiv:1405.3866, section 2.2, scheme 2. tucker: Kim, Park, Yoo, Choi, Yang, Shin 2016,
arXiv:1511.06530, section 3.1, the Tucker-2 decomposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgefleet_compiler.compress.low_rank.algebra import Matrix, kronecker, product
from edgefleet_compiler.compress.low_rank.shrinkage import shrunk
from edgefleet_compiler.compress.low_rank.truncate import Decomposition, balanced
from edgefleet_compiler.compress.low_rank.words import Factors, Kind
from edgefleet_compiler.quantise.rounding.quadratic import lower_factor, solved
from edgefleet_compiler.quantise.rounding.second_order import damped

_DAMPING = 1e-10
"""What keeps matrices of unused channels positive definite, and moves no other weight."""


@dataclass(frozen=True)
class Chains:
    """Makes chains of one layer.

    Attributes:
        weights: The layer's, shape (outputs, inputs x places).
        kernel: Sizes of the kernel; empty of fully connected layers.
        moments: Means of x xᵀ of its inputs, shape (inputs x places, inputs x places).
        covariance: Of its inputs, of that shape.
        count: Rows that these are of.
        importance: Of its outputs, positive definite, shape (outputs, outputs).
    """

    weights: Matrix
    kernel: tuple[int, ...]
    moments: Matrix
    covariance: Matrix
    count: int
    importance: Matrix

    def matrices(self, factors: Factors) -> list[Matrix]:
        """The matrices of a chain, in the order in which they are applied."""
        match factors.kind:
            case "svd":
                return self._svd(*factors.ranks)
            case "spatial":
                return self._spatial(*factors.ranks)
            case "tucker":
                return self._tucker(*factors.ranks)

    def composed(self, kind: Kind, matrices: Sequence[Matrix]) -> Matrix:
        """The weights of the whole layer that computes what a chain does."""
        first, *rest = matrices
        if kind == "svd":
            return product(*rest, first)
        wide = self._column(first) if kind == "spatial" else self._everywhere(first)
        return product(*reversed(rest), wide)

    def _svd(self, rank: int) -> list[Matrix]:
        left, right = balanced(*self._whole.at(rank), self.moments)
        return [right, left]

    def _spatial(self, rank: int) -> list[Matrix]:
        """Columns by the moments of columns; then the rows that serve the whole windows best."""
        _, column = balanced(*self._columns.at(rank), self._of_columns(self.moments))
        return [column, self._best(self.weights, self._column(column))]

    def _tucker(self, inputs: int, outputs: int) -> list[Matrix]:
        """First the outputs, then of these the inputs; then the core that serves the windows best."""
        left, right = balanced(*self._whole.at(outputs), self.moments)
        places = int(np.prod(self.kernel))
        by_channel = right.reshape(outputs, -1, places).transpose(0, 2, 1).reshape(outputs * places, -1)
        moments = self._mean_over_places(self.moments)
        inner = shrunk(self._mean_over_places(self.covariance), self.count)
        outer = kronecker(self._between(left), np.eye(places))
        _, first = balanced(*Decomposition(by_channel, inner, outer).at(inputs), moments)
        return [first, self._best(right, self._everywhere(first)), left]

    @cached_property
    def _whole(self) -> Decomposition:
        return Decomposition(self.weights, shrunk(self.covariance, self.count), self.importance)

    @cached_property
    def _columns(self) -> Decomposition:
        """Of the weights with an output's columns in rows of their own."""
        height, width = self.kernel
        rows = self.weights.reshape(len(self.weights), -1, height, width).transpose(3, 0, 1, 2)
        inner = shrunk(self._of_columns(self.covariance), self.count)
        return Decomposition(
            rows.reshape(len(self.weights) * width, -1), inner, kronecker(np.eye(width), self.importance)
        )

    def _between(self, left: Matrix) -> Matrix:
        """How much the values count that a matrix makes outputs of; positive definite where some of them are unused."""
        found: Matrix = damped(product(left.T, self.importance, left)[np.newaxis], _DAMPING)[0]
        return found

    def _best(self, wanted: Matrix, wide: Matrix) -> Matrix:
        """The T with the least variance of (wanted - T wide) x."""
        covariance = shrunk(self.covariance, self.count)
        seen = damped(product(wide, covariance, wide.T)[np.newaxis], _DAMPING)
        found: Matrix = solved(product(wanted, covariance, wide.T)[np.newaxis], lower_factor(seen))[0]
        return found

    def _of_columns(self, moments: Matrix) -> Matrix:
        """Of moments of windows, those of their columns, over all of these."""
        height, width = self.kernel
        channels = len(moments) // (height * width)
        windows = moments.reshape(channels, height, width, channels, height, width)
        mean: Matrix = np.diagonal(windows, axis1=2, axis2=5).mean(axis=-1)
        return mean.reshape(channels * height, -1)

    def _mean_over_places(self, moments: Matrix) -> Matrix:
        """Of moments of windows, those of the channels, over all places."""
        places = int(np.prod(self.kernel))
        by_place = moments.reshape(len(moments) // places, places, -1, places)
        mean: Matrix = np.diagonal(by_place, axis1=1, axis2=3).mean(axis=-1)
        return mean

    def _column(self, column: Matrix) -> Matrix:
        """What a column of a kernel makes of a window: a matrix for all rows of the kernel beside it."""
        height, width = self.kernel
        parts = column.reshape(len(column), -1, height)
        wide: Matrix = np.einsum("rih,wv->rwihv", parts, np.eye(width))
        return wide.reshape(len(column) * width, -1)

    def _everywhere(self, first: Matrix) -> Matrix:
        """What a 1 x 1 layer makes of a window."""
        places = int(np.prod(self.kernel))
        wide: Matrix = np.einsum("ri,pq->rpiq", first, np.eye(places))
        return wide.reshape(len(first) * places, -1)
