"""A layer with weights as what it is to its rounding: matrices, one a group, that multiply rows of inputs.

Source: im2col, Chellapilla, Puri, Simard 2006, "High Performance Convolutional Neural Networks for Document
Processing", section 3; ONNX operator specification, ``Conv``, ``Gemm``, ``MatMul``.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import integer, integers

Scalar = TypeVar("Scalar", bound=np.generic)


class Layer:
    """A Conv, Gemm or MatMul in hub normal form.

    Args:
        node: The layer.
        shape: Of its weights; two axes unless it is a Conv.
    """

    def __init__(self, node: ir.Node, shape: tuple[int, ...]) -> None:
        self._node = node
        self._shape = shape
        self._transposed = node.op_type == "MatMul" or (node.op_type == "Gemm" and not integer(node, "transB", 0))
        self.groups = integer(node, "group", 1)
        self.channels = (shape[1] if self._transposed else shape[0]) // self.groups
        self.inputs = shape[0] if self._transposed else math.prod(shape[1:])

    @property
    def channel_axis(self) -> int:
        """The axis of the output channels in the weights."""
        return 1 if self._transposed else 0

    def matrices(self, weights: NDArray[Scalar]) -> NDArray[Scalar]:
        """Weights as (groups, channels of a group, inputs of a channel)."""
        return (weights.T if self._transposed else weights).reshape(self.groups, self.channels, self.inputs)

    def weights(self, matrices: NDArray[Scalar]) -> NDArray[Scalar]:
        """The inverse of ``matrices``."""
        rows = matrices.reshape(-1, self.inputs)
        return np.ascontiguousarray(rows.T if self._transposed else rows.reshape(self._shape))

    def rows(self, activation: NDArray[Any], at_most: int, random: np.random.Generator) -> NDArray[Any]:
        """What each output position multiplies the weights by.

        Args:
            activation: The layer's input, with zeros where it means zero: padding adds zeros.
            at_most: Of more positions than these, as many are drawn.
            random: What draws them.

        Returns:
            Shape (groups, positions, inputs of a channel).
        """
        if self._node.op_type == "Conv":
            return self._windows(activation, at_most, random)
        turned = self._node.op_type == "Gemm" and integer(self._node, "transA", 0)
        rows = (activation.T if turned else activation).reshape(-1, self.inputs)
        return rows[None, drawn(len(rows), at_most, random)]

    def _windows(self, activation: NDArray[Any], at_most: int, random: np.random.Generator) -> NDArray[Any]:
        kernel = self._shape[2:]
        ones = (1,) * len(kernel)
        pads = integers(self._node, "pads") or (0,) * (2 * len(kernel))
        strides = integers(self._node, "strides") or ones
        dilations = integers(self._node, "dilations") or ones
        spans = [dilation * (size - 1) + 1 for dilation, size in zip(dilations, kernel, strict=True)]
        margins = list(zip(pads[: len(kernel)], pads[len(kernel) :], strict=True))
        padded = np.pad(activation, [(0, 0), (0, 0), *margins])
        spatial = tuple(range(2, padded.ndim))
        views = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=spatial)
        everything = slice(None)
        steps = [slice(None, None, step) for step in strides]
        gaps = [slice(None, None, dilation) for dilation in dilations]
        views = views[(everything, everything, *steps, *gaps)]
        batch, channels, *positions = views.shape[: 2 + len(kernel)]
        chosen = np.unravel_index(drawn(batch * math.prod(positions), at_most, random), (batch, *positions))
        windows = np.moveaxis(views, 1, len(kernel) + 1)[chosen]  # (positions, channels, *kernel)
        grouped = windows.reshape(-1, self.groups, channels // self.groups * math.prod(kernel))
        return np.moveaxis(grouped, 1, 0)


def drawn(count: int, at_most: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Indices below ``count``, all or some of them, ascending."""
    if count <= at_most:
        return np.arange(count)
    return np.sort(random.choice(count, at_most, replace=False)).astype(np.intp)
