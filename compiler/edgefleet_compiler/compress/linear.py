"""A layer with constant weights as what it computes: matrices that multiply rows of inputs, and biases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, shape_of
from edgefleet_compiler.quantise.channel_rules import given
from edgefleet_compiler.quantise.rounding.gram import POSITIONS
from edgefleet_compiler.quantise.rounding.layer import Layer, drawn
from edgefleet_compiler.quantise.rounding.quadratic import Matrices


class Linear:
    """A Conv, ConvTranspose, Gemm or MatMul in hub normal form.

    A ConvTranspose multiplies each pixel of its input by a matrix, and adds up what overlaps; here only the former
    counts.

    Args:
        node: The layer.
        positions: Of many that one case has, as many are drawn.
    """

    def __init__(self, node: ir.Node, positions: int = POSITIONS) -> None:
        self.node = node
        self._positions = positions
        self._array = _reals(node, 1)
        self._spreads = self.node.op_type == "ConvTranspose"
        self._layer = Layer(self.node, self._array.shape)
        self.groups = self._layer.groups
        self.inputs = self._array.shape[0] if self._spreads else self._layer.inputs

    @property
    def channels(self) -> int:
        """Output channels of a group."""
        return int(self.matrices().shape[1])

    @property
    def kernel(self) -> tuple[int, ...]:
        """Sizes of the kernel of a convolution; empty of other layers."""
        return self._array.shape[2:]

    @property
    def takes_bias(self) -> bool:
        """Whether a bias of its own can make up for something."""
        return self.node.op_type in ("Conv", "Gemm")

    @property
    def can_be_fitted(self) -> bool:
        """Whether what it gives at a place is its matrix times a row of inputs, and nothing else."""
        return not self._spreads

    def matrices(self) -> Matrices:
        """Weights, shape (groups, channels of a group, inputs of a channel)."""
        if self._spreads:
            return self._array.reshape(1, self.inputs, -1).swapaxes(1, 2)
        return self._layer.matrices(self._array)

    def biases(self) -> Matrices:
        """Shape (groups, channels of a group); zeros where there are none."""
        if len(self.node.inputs) < 3 or self.node.inputs[2] is None or not self.takes_bias:
            return np.zeros(self.matrices().shape[:2])
        return _reals(self.node, 2).reshape(self.groups, -1)

    def weights(self, matrices: Matrices) -> NDArray[np.float32]:
        """Matrices as the layer has them."""
        if self._spreads:
            return np.ascontiguousarray(matrices[0].T.reshape(self._array.shape), np.float32)
        return self._layer.weights(matrices).astype(np.float32)

    def rows(self, activation: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
        """What positions multiply the weights by; of many, some are drawn.

        Returns:
            Shape (groups, positions, inputs of a channel).
        """
        if self._spreads:
            pixels = np.moveaxis(activation, 1, -1).reshape(-1, self.inputs)
            return pixels[None, drawn(len(pixels), self._positions, random)]
        return self._layer.rows(activation, self._positions, random)

    def results(self, output: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
        """What the layer gives at positions: the same that ``rows`` draws from a generator in the same state.

        Returns:
            Shape (groups, positions, channels of a group).
        """
        axis = 1 if self.node.op_type == "Conv" else -1
        every = np.moveaxis(output, axis, -1)
        every = every.reshape(-1, every.shape[-1])
        chosen = every[drawn(len(every), self._positions, random)]
        return np.moveaxis(chosen.reshape(len(chosen), self.groups, -1), 1, 0)

    def store(self, editor: Editor, matrices: Matrices, biases: Matrices | None) -> None:
        """Give the layer other weights, and other biases where it takes some, in place."""
        _put(editor, self.node, 1, self.weights(matrices))
        if biases is not None and self.takes_bias:
            _put(editor, self.node, 2, biases.reshape(-1).astype(np.float32))


def _reals(node: ir.Node, index: int) -> Matrices:
    array = constant(node.inputs[index])
    assert array is not None
    return array.astype(np.float64)


def _put(editor: Editor, node: ir.Node, index: int, array: NDArray[np.float32]) -> None:
    """Give a node a constant of its own."""
    old = node.inputs[index] if index < len(node.inputs) else None
    name = f"{node.name}/bias" if old is None else name_of(old)
    node.resize_inputs(max(len(node.inputs), index + 1))
    shape = array.shape if old is None else shape_of(given(node, index))
    node.replace_input_with(index, editor.constant(array.reshape(shape), name))
    assert math.prod(shape) == array.size
    if old is not None and not old.uses() and not old.is_graph_output():
        del editor.graph.initializers[name]
