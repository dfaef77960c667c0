"""Integers in the ONNX artifact: activations unsigned, and moved as integers where they are only moved."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.exporters.onnx_steps.pads import outgrows_pool
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, dtype_of, name_of, sole_consumer
from edgefleet_compiler.quantise.operators import MOVING, WEIGHTED, data_inputs, is_quantisable

SHIFT = 128
"""int8 + 128 = uint8, for stored values and zero points alike, so that the reals stay."""

_MOVING = MOVING | {"MaxPool"}
_OF_EVERY_WIDTH = frozenset({"Concat", "Expand", "Gather", "Reshape", "Slice", "Split", "Tile", "Transpose"})
"""Operators that onnxruntime has for 16 bits as well; the others it has for 8 bits only."""


def shift_to_unsigned(graph: ir.Graph) -> None:
    """Store every int8 activation, and constants that stand for one, as uint8; drop the zero points of weights.

    Weights are symmetric, and DequantizeLinear takes 0 where no zero point is given; but onnxruntime makes an integer
    Gemm only of weights that have one.
    """
    editor = Editor(graph)
    shifted: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        if _is_weight(node):
            if _is_symmetric(node) and not any(
                use.node.op_type == "Gemm" and use.idx == 1 for use in node.outputs[0].uses()
            ):
                node.resize_inputs(2)
            continue
        if len(node.inputs) < 3 or node.inputs[2] is None or node.inputs[2].dtype != ir.DataType.INT8:
            continue
        stored = node.inputs[0]
        if constant(stored) is not None and stored is not None:
            node.replace_input_with(0, _shifted(editor, stored, shifted))
        node.replace_input_with(2, _shifted(editor, node.inputs[2], shifted))
        if node.op_type == "QuantizeLinear":
            retype(node.outputs[0], ir.DataType.UINT8)


def move_integers(graph: ir.Graph) -> None:
    """Let operators that only move elements do so on integers: DequantizeLinear, Reshape, QuantizeLinear is a Reshape.

    The parameters on both sides are the same, so that the pair in between undoes itself; each one left out is bytes
    and time less, and onnxruntime computes no Transpose or MaxPool in float.
    """
    editor = Editor(graph)
    for node in [node for node in graph if node.op_type in _MOVING and is_quantisable(node)]:
        behind = [sole_consumer(value) for value in node.outputs]
        pairs = [quantise for quantise in behind if quantise is not None and quantise.op_type == "QuantizeLinear"]
        if len(pairs) < len(behind) or len({parameter_arrays(quantise) for quantise in pairs}) > 1:
            continue
        if not _has_kernel(node, dtype_of(pairs[0].outputs[0])):
            continue
        stored = _stored_inputs(node, pairs[0])
        if stored is None or outgrows_pool(node, _reader(pairs[0])):
            continue
        for index, value in stored.items():
            node.replace_input_with(index, value)
        if node.op_type == "Pad":
            _quantise_filling(node, pairs[0], editor)
        for output, quantise in zip(node.outputs, pairs, strict=True):
            retype(output, dtype_of(quantise.outputs[0]))
            editor.replace(quantise.outputs[0], output)
            graph.remove(quantise, safe=True)


def retype(value: ir.Value, dtype: ir.DataType) -> None:
    """Give a value another element type; by a new type, since copies of a graph share theirs."""
    value.type = ir.TensorType(dtype)


def parameter_arrays(node: ir.Node) -> tuple[float, int]:
    """Scale and zero point of a pair's node, per tensor."""
    scale, zero_point = constant(node.inputs[1]), constant(node.inputs[2])
    assert scale is not None
    assert zero_point is not None
    return float(scale.reshape(())), int(zero_point.reshape(()))


def _is_weight(node: ir.Node) -> bool:
    """Whether a DequantizeLinear widens constant weights or biases."""
    if node.op_type != "DequantizeLinear" or constant(node.inputs[0]) is None:
        return False
    return all(use.node.op_type in WEIGHTED and use.idx in (1, 2) for use in node.outputs[0].uses())


def _is_symmetric(node: ir.Node) -> bool:
    zero_point = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return zero_point is None or not zero_point.any()


def _shifted(editor: Editor, value: ir.Value, known: dict[ir.Value, ir.Value]) -> ir.Value:
    if value not in known:
        array = constant(value)
        assert array is not None
        moved = (array.astype(np.int16) + SHIFT).astype(np.uint8)
        known[value] = editor.constant(moved, f"{name_of(value)}/unsigned")
    return known[value]


def _has_kernel(node: ir.Node, stored: ir.DataType) -> bool:
    """Whether onnxruntime has the operator for integers of this type."""
    return stored.bitwidth == 8 or node.op_type in _OF_EVERY_WIDTH


def _stored_inputs(node: ir.Node, quantise: ir.Node) -> dict[int, ir.Value] | None:
    """The integers behind the data inputs of a node by position, if all have the parameters of its output."""
    stored = {}
    for index in data_inputs(node):
        value = node.inputs[index]
        dequantise = value.producer() if value is not None else None
        if dequantise is None or dequantise.op_type != "DequantizeLinear" or dequantise.inputs[0] is None:
            return None
        if len(dequantise.inputs) < 3 or parameter_arrays(dequantise) != parameter_arrays(quantise):
            return None
        stored[index] = dequantise.inputs[0]
    return stored


def _reader(quantise: ir.Node) -> ir.Node | None:
    """The one node behind a pair."""
    dequantise = sole_consumer(quantise.outputs[0])
    return None if dequantise is None else sole_consumer(dequantise.outputs[0])


def _quantise_filling(pad: ir.Node, quantise: ir.Node, editor: Editor) -> None:
    """Give a Pad of integers the integer that its value is stored as."""
    scale, zero_point = parameter_arrays(quantise)
    value = constant(pad.inputs[2])
    assert value is not None
    stored = np.clip(np.rint(value.astype(np.float64) / scale) + zero_point, 0, 255).astype(np.uint8)
    pad.replace_input_with(2, editor.constant(stored, f"{pad.name}/value"))
