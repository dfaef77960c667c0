"""Operators with weights as one thing: sums of products over taps and channels, plus a bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.lossless.windows import Taps, taps_inside
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor

Integers = NDArray[np.int64]
Weights = NDArray[np.int8]
KINDS: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_INT8: Final = np.dtype(np.int8)
_ANYWHERE: Final = np.ones((1, 1), np.bool_)  # one tap, always inside


@dataclass(frozen=True)
class Weighted:
    """A convolution, depthwise convolution or fully connected layer on int8, its weights in one form.

    Attributes:
        operator: What it is in the graph.
        weights: int8, shape (outputs, rows, columns, channels): of a depthwise convolution the last axis is 1, and
            of a fully connected layer that reads an image flattened the rows are the image's elements.
        bias: int64, shape (outputs,).
        rows: The sets of rows that can meet the image, shape (sets, rows).
        columns: The sets of columns.
        depthwise: Whether each output reads one channel, its number divided by ``multiplier``.
        multiplier: Outputs for each channel of a depthwise convolution; else 0.
    """

    operator: Operator
    weights: Weights
    bias: Integers
    rows: Taps
    columns: Taps
    depthwise: bool
    multiplier: int

    @property
    def source(self) -> str:
        """The tensor that is read."""
        return str(self.operator.inputs[0])

    @property
    def output(self) -> str:
        """The tensor that is written."""
        return self.operator.outputs[0]

    def multiplied(self, outputs: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The channels that some of these outputs multiply by another weight than 0, at a tap that meets the image."""
        met = np.outer(self.rows.any(axis=0), self.columns.any(axis=0))
        return np.asarray(self.weights[outputs][:, met].any(axis=(0, 1)))

    def over_places(self, by_tap: Integers) -> Integers:
        """What taps add up to at each place where a window can stand.

        Args:
            by_tap: Shape (outputs, rows, columns).

        Returns:
            Shape (outputs, places): one for each pair of a set of rows and one of columns.
        """
        rows, columns = self.rows.astype(np.int64), self.columns.astype(np.int64)
        sums: Integers = np.einsum("ohw,ph,qw->opq", by_tap, rows, columns)
        return sums.reshape(len(by_tap), -1)


def weighted_of(graph: LoweredGraph, operator: Operator) -> Weighted | None:
    """The operator in that form; None where it has no weights, or none that are known, or is not in int8."""
    if operator.kind not in KINDS or not _is_plain_int8(graph, operator):
        return None
    source, output = graph.tensors[str(operator.inputs[0])], graph.tensors[operator.outputs[0]]
    weights, bias = _integers(graph, operator.inputs[1]), _bias(graph, operator, output.shape[-1])
    if weights is None or bias is None or np.any(_zero_points(graph, operator)):
        return None
    if operator.kind == "FULLY_CONNECTED":
        return _fully_connected(operator, source, output, weights, bias)
    return _convolution(operator, source, output, weights, bias)


def _fully_connected(
    operator: Operator, source: Tensor, output: Tensor, weights: Weights, bias: Integers
) -> Weighted | None:
    outputs, features = weights.shape
    channels = source.shape[-1] if source.shape else 0
    if not channels or features % channels or output.shape[-1] != outputs:
        return None
    if operator.attributes.get("weights_format", "DEFAULT") != "DEFAULT":
        return None
    shaped = weights.reshape(outputs, features // channels, 1, channels)
    everywhere = np.ones((1, features // channels), np.bool_)
    return Weighted(operator, shaped, bias, everywhere, _ANYWHERE, depthwise=False, multiplier=0)


def _convolution(
    operator: Operator, source: Tensor, output: Tensor, weights: Weights, bias: Integers
) -> Weighted | None:
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    channels, outputs = source.shape[-1], output.shape[-1]
    if depthwise:
        multiplier, left = divmod(weights.shape[3], channels)
        weights = weights.transpose(3, 1, 2, 0)
        fits = not left and weights.shape[0] == outputs and weights.shape[3] == 1
    else:
        multiplier, fits = 0, weights.shape[0] == outputs and weights.shape[3] == channels
    rows, columns = (_taps(operator, source, output, weights.shape[axis], axis) for axis in (1, 2))
    if not fits or rows is None or columns is None:
        return None
    return Weighted(operator, weights, bias, rows, columns, depthwise, multiplier)


def _taps(operator: Operator, source: Tensor, output: Tensor, kernel: int, axis: int) -> Taps | None:
    along = "hw"[axis - 1]
    return taps_inside(
        extent=source.shape[axis],
        outputs=output.shape[axis],
        kernel=kernel,
        stride=operator.integer(f"stride_{along}", 1),
        dilation=operator.integer(f"dilation_{along}_factor", 1),
        padding=str(operator.attributes.get("padding", "SAME")),
    )


def _is_plain_int8(graph: LoweredGraph, operator: Operator) -> bool:
    """Whether it reads and writes int8 with a scale."""
    tensors = [graph.tensors[str(name)] for name in (operator.inputs[0], operator.outputs[0])]
    return all(tensor.dtype == _INT8 and tensor.quantisation is not None for tensor in tensors)


def _integers(graph: LoweredGraph, name: str | None) -> Weights | None:
    data = None if name is None else graph.tensors[name].data
    if data is None or data.dtype not in (_INT8, INT4):
        return None
    return data.astype(np.int8)


def _bias(graph: LoweredGraph, operator: Operator, outputs: int) -> Integers | None:
    name = operator.inputs[2] if len(operator.inputs) > 2 else None
    if name is None:
        return np.zeros(outputs, np.int64)
    data = graph.tensors[name].data
    return None if data is None or data.dtype != np.int32 else data.astype(np.int64).reshape(-1)


def _zero_points(graph: LoweredGraph, operator: Operator) -> Integers:
    quantisation = graph.tensors[str(operator.inputs[1])].quantisation
    return np.ones(1, np.int64) if quantisation is None else quantisation.zero_point
