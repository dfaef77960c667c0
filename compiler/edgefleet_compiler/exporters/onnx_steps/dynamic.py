"""Matrix products of activations that are rounded at run time, in the form that onnxruntime has one kernel for.

DynamicQuantizeLinear, MatMulInteger, Cast, Mul by both scales and Add become its DynamicQuantizeMatMul. Convolutions
are left in float behind their rounding: its ConvInteger is several times slower.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dynamic import source_of
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, shape_of


def multiply_integers(graph: ir.Graph) -> None:
    """Let Gemm and MatMul compute on the integers of a DynamicQuantizeLinear, in place."""
    editor = Editor(graph)
    for node in list(graph):
        rounding = source_of(node.inputs[0]) if node.op_type in ("Gemm", "MatMul") else None
        if rounding is not None:
            _multiply(editor, node, rounding)


def _multiply(editor: Editor, node: ir.Node, rounding: ir.Node) -> None:
    weights = node.inputs[1]
    widening = None if weights is None else weights.producer()
    assert widening is not None
    integers, scales = constant(widening.inputs[0]), constant(widening.inputs[1])
    assert integers is not None
    assert scales is not None
    name, shape = node.name or node.op_type, shape_of(node.outputs[0])
    stored, scale, zero_point = rounding.outputs
    matrix = editor.constant(np.ascontiguousarray(integers.T) if node.op_type == "Gemm" else integers, f"{name}/matrix")
    product = editor.node(
        "MatMulInteger",
        [stored, matrix, zero_point],
        name=f"{name}/multiply",
        shape=shape,
        dtype=ir.DataType.INT32,
        before=node,
    )
    real = editor.node(
        "Cast", [product], name=f"{name}/cast", shape=shape, attributes={"to": int(ir.DataType.FLOAT)}, before=node
    )
    of_weights = editor.constant(scales, f"{name}/scales")
    factors = editor.node("Mul", [scale, of_weights], name=f"{name}/factors", shape=scales.shape, before=node)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        editor.rewrite(node, "Mul", [real, factors])
        return
    scaled = editor.node("Mul", [real, factors], name=f"{name}/scale", shape=shape, before=node)
    editor.rewrite(node, "Add", [scaled, bias])
