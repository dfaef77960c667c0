"""Cutting: the hub without some of its channels. What is left is in hub normal form, as the whole was."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.groups import Grouping, Weighted, find_groups
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, rank_of, shape_of
from edgefleet_compiler.hub.operators import BROADCASTING
from edgefleet_compiler.passes.dead_code import remove_dead_code
from edgefleet_compiler.quantise.channel_rules import given

Places = NDArray[np.intp]


def cut(hub: ir.Model, gone: Collection[int]) -> ir.Model:
    """A copy of a hub without some channels.

    Args:
        hub: Float, in hub normal form; it is not changed.
        gone: Classes of its ``find_groups``; some channel of each group is not among them.

    Returns:
        What computes the same as the hub with zeros for the weights that read these channels.
    """
    copy = hub.clone()
    grouping = find_groups(copy.graph)  # clones have the same classes
    knife = _Knife(copy.graph, grouping, np.array(sorted(gone), np.intp))
    layers = {layer.node: layer for layer in grouping.layers}
    for node in list(copy.graph):
        if node in layers:
            knife.cut_layer(layers[node])
        else:
            knife.cut_operands(node)
    knife.cut_shapes()
    remove_dead_code(copy)
    return copy


class _Knife:
    """Cuts constants of nodes while all shapes are still those of the whole.

    Args:
        graph: To be cut.
        grouping: Its channels.
        gone: Those classes that go.
    """

    def __init__(self, graph: ir.Graph, grouping: Grouping, gone: Places) -> None:
        self._editor = Editor(graph)
        self._grouping = grouping
        self._gone = gone
        self._made: dict[tuple[str, int, bytes], ir.Value] = {}

    def cut_layer(self, layer: Weighted) -> None:
        """Take rows and columns out of the weights of a layer, and elements out of its bias."""
        node, outputs, inputs = layer.node, self._left(layer.writes), self._left(layer.reads)
        axis_of_outputs, axis_of_inputs = _axes(node)
        if layer.parts == 1:
            self._take(node, 1, inputs, axis_of_inputs)
            self._take(node, 1, outputs, axis_of_outputs)
        else:  # whole parts go: of a ConvTranspose, rows of its inputs
            self._take(node, 1, inputs if node.op_type == "ConvTranspose" else outputs, 0)
            left = len(inputs) * layer.parts // len(layer.reads)
            node.attributes["group"] = ir.AttrInt64("group", left)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            self._take(node, 2, outputs, rank_of(given(node, 2)) - 1)

    def cut_operands(self, node: ir.Node) -> None:
        """Take elements out of the constants that a node has for single channels, and mend those that say sizes."""
        known = next((self._grouping.values[value] for value in node.outputs if value in self._grouping.values), None)
        if known is None:
            return
        left = self._left(known.classes)
        if node.op_type in BROADCASTING:
            before = rank_of(node.outputs[0]) - known.axis
            for index, value in enumerate(node.inputs):
                axis = -1 if value is None else rank_of(value) - before
                if axis >= 0 and constant(value) is not None and shape_of(given(node, index))[axis] > 1:
                    self._take(node, index, left, axis)
        elif node.op_type in ("BatchNormalization", "InstanceNormalization"):
            for index in range(1, len(node.inputs)):
                self._take(node, index, left, 0)
        elif node.op_type in _SIZED:
            _SIZED[node.op_type](self, node)

    def cut_shapes(self) -> None:
        """Make all values as small as their channels."""
        for value, known in self._grouping.values.items():
            sizes = list(shape_of(value))
            sizes[known.axis] = len(self._left(known.classes))
            value.shape = ir.Shape(sizes)

    def cut_reshape(self, node: ir.Node) -> None:
        """The new shape is written out."""
        self._put(node, 1, np.array(self._shape(node.outputs[0]), np.int64))

    def cut_split(self, node: ir.Node) -> None:
        """The sizes of the parts are written out."""
        known = self._grouping.values[node.outputs[0]]
        source = self._grouping.values[given(node, 0)]
        if len(node.inputs) > 1 and len(known.classes) != len(source.classes):
            self._put(node, 1, np.array([self._shape(value)[known.axis] for value in node.outputs], np.int64))

    def cut_resize(self, node: ir.Node) -> None:
        """Sizes are written out where they are given."""
        if len(node.inputs) > 3 and node.inputs[3] is not None:
            self._put(node, 3, np.array(self._shape(node.outputs[0]), np.int64))

    def _left(self, classes: Places) -> Places:
        """The places of the channels that stay."""
        return np.flatnonzero(~np.isin(classes, self._gone))

    def _shape(self, value: ir.Value) -> list[int]:
        known, sizes = self._grouping.values[value], list(shape_of(value))
        sizes[known.axis] = len(self._left(known.classes))
        return sizes

    def _take(self, node: ir.Node, index: int, places: Places, axis: int) -> None:
        array = constant(node.inputs[index])
        assert array is not None
        if array.shape[axis] != len(places):
            self._put(node, index, np.take(array, places, axis))

    def _put(self, node: ir.Node, index: int, array: NDArray[Any]) -> None:
        """Give a node another constant; nodes that shared one share what it becomes."""
        old = given(node, index)
        present = constant(old)
        if present is not None and present.shape == array.shape and (present == array).all():
            return
        key = (name_of(old), array.ndim, array.tobytes())
        if key not in self._made:
            self._made[key] = self._editor.constant(array, name_of(old))
        node.replace_input_with(index, self._made[key])


_SIZED: dict[str, Callable[[_Knife, ir.Node], None]] = {
    "Reshape": _Knife.cut_reshape,
    "Resize": _Knife.cut_resize,
    "Split": _Knife.cut_split,
}


def _axes(node: ir.Node) -> tuple[int, int]:
    """The axes of the outputs and of the inputs in the weights of a layer."""
    transposed = node.op_type in ("ConvTranspose", "MatMul")
    if node.op_type == "Gemm":
        transposed = not node.attributes["transB"].as_int() if "transB" in node.attributes else True
    return (1, 0) if transposed else (0, 1)
