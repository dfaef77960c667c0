"""Constant weights stored as integers, in forms that onnxruntime widens when it loads the file, not at each inference.

Its constant folding leaves every DequantizeLinear alone, so that integer kernels can be made of them: weights of layers
that compute in float would be widened at each inference. Cast and Mul are folded, and give the same numbers. Integer
kernels are made of 8-bit weights only, and Cast to them is folded, too.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import channel_axis
from edgefleet_compiler.hub.dynamic import source_of
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, shape_of

_NARROWEST = ir.DataType.INT4


def widen_weights(graph: ir.Graph) -> None:
    """Rewrite each DequantizeLinear of constant weights that onnxruntime would not take as it stands, in place."""
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type != "DequantizeLinear" or constant(node.inputs[0]) is None:
            continue
        if not _feeds_integers(node) and _is_symmetric(node):
            _multiply(editor, node)
        elif node.inputs[0] is not None and node.inputs[0].dtype == _NARROWEST:
            _cast_to_bytes(editor, node)


def _feeds_integers(node: ir.Node) -> bool:
    """Whether something that reads it reads a quantised activation, too: that may compute in integers."""
    readers = {use.node for use in node.outputs[0].uses()}
    return any(_is_quantised(value) for reader in readers for value in reader.inputs if value is not None)


def _is_quantised(value: ir.Value) -> bool:
    producer = value.producer()
    if producer is None or producer.op_type != "DequantizeLinear" or source_of(value) is not None:
        return False
    return constant(producer.inputs[0]) is None


def _is_symmetric(node: ir.Node) -> bool:
    zero_point = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return zero_point is None or not zero_point.any()


def _multiply(editor: Editor, node: ir.Node) -> None:
    """Cast and Mul in the place of DequantizeLinear."""
    stored, scale = node.inputs[0], constant(node.inputs[1])
    assert stored is not None
    assert scale is not None
    shape, name = shape_of(stored), node.name or "dequantise"
    axis = channel_axis(node, len(shape))
    # Axes of length 1 in front go without saying.
    along = () if axis is None else (-1, *[1] * (len(shape) - axis - 1))
    widened = editor.node(
        "Cast", [stored], name=f"{name}/cast", shape=shape, attributes={"to": int(ir.DataType.FLOAT)}, before=node
    )
    factors = editor.constant(scale.reshape(along), f"{name}/factors")
    editor.rewrite(node, "Mul", [widened, factors])


def _cast_to_bytes(editor: Editor, node: ir.Node) -> None:
    """A Cast to int8 in front of a DequantizeLinear of 4-bit integers, whose zero point becomes int8 as well."""
    stored = node.inputs[0]
    assert stored is not None
    widened = editor.node(
        "Cast",
        [stored],
        name=f"{name_of(stored)}/cast",
        shape=shape_of(stored),
        dtype=ir.DataType.INT8,
        attributes={"to": int(ir.DataType.INT8)},
        before=node,
    )
    node.replace_input_with(0, widened)
    given = node.inputs[2] if len(node.inputs) > 2 else None
    zero_point = constant(given)
    if given is not None and zero_point is not None:
        node.replace_input_with(2, editor.constant(zero_point.astype(np.int8), f"{name_of(given)}/byte"))
