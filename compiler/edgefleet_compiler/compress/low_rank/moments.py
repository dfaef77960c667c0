"""Moments of what a layer gets and of what it should give, over typical cases.

Sums are exact, as those of ``quantise.rounding.gram`` are, and for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.quantise.rounding.gram import POSITIONS, ROWS, in_steps
from edgefleet_compiler.quantise.rounding.layer import Layer, drawn
from edgefleet_compiler.quantise.rounding.quadratic import Matrices


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
    input_mean: NDArray[np.float64]
    output_mean: NDArray[np.float64]
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

    def joined(self, other: Moments) -> Moments:
        """Those of all rows."""
        share = self.count / max(self.count + other.count, 1)

        def mean(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
            return share * one + (1 - share) * two

        return Moments(
            self.count + other.count,
            mean(self.input_mean, other.input_mean),
            mean(self.output_mean, other.output_mean),
            mean(self.inputs, other.inputs),
            mean(self.cross, other.cross),
        )


class Gathering:
    """Gathers the moments of one layer, one case at a time.

    Args:
        node: The layer.
        shape: Of its weights.
    """

    def __init__(self, node: ir.Node, shape: tuple[int, ...]) -> None:
        self._layer, self._is_conv = Layer(node, shape), node.op_type == "Conv"
        self._random = np.random.default_rng(0), np.random.default_rng(0)  # both draw the same positions
        groups, channels, inputs = self._layer.groups, self._layer.channels, self._layer.inputs
        self._count = 0
        self._x, self._y = np.zeros((groups, inputs)), np.zeros((groups, channels))
        self._xx, self._yx = np.zeros((groups, inputs, inputs)), np.zeros((groups, channels, inputs))

    def add(self, inputs: NDArray[Any], outputs: NDArray[Any]) -> None:
        """Add what the layer gets in a case, and what it should give there before its activation."""
        x = self._layer.rows(inputs, POSITIONS, self._random[0])
        y = self._outputs(outputs)
        for start in range(0, x.shape[1], ROWS):
            self._multiply(x[:, start : start + ROWS], y[:, start : start + ROWS])

    def moments(self) -> Moments:
        """Of all cases; zeros before any."""
        count = max(self._count, 1)
        return Moments(self._count, self._x / count, self._y / count, self._xx / count, self._yx / count)

    def _outputs(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Shape (groups, positions, channels), of the positions that ``Layer.rows`` draws."""
        layer = self._layer
        last = np.moveaxis(outputs, 1, -1) if self._is_conv else outputs
        rows = last.reshape(-1, layer.groups, layer.channels)
        return np.moveaxis(rows[drawn(len(rows), POSITIONS, self._random[1])], 1, 0)

    def _multiply(self, inputs: NDArray[Any], outputs: NDArray[Any]) -> None:
        (x, step), (y, other_step) = in_steps(inputs), in_steps(outputs)
        self._count += x.shape[1]
        self._x += x.sum(axis=1) * step
        self._y += y.sum(axis=1) * other_step
        self._xx += (x.swapaxes(1, 2) @ x) * step**2
        self._yx += (y.swapaxes(1, 2) @ x) * (step * other_step)
