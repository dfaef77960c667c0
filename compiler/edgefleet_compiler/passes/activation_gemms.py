"""A Gemm of two activations becomes MatMul, with a Mul and an Add where it scales and adds.

Source: ONNX operator specification, ``Gemm``: y = alpha * A' * B' + beta * C. What is left a Gemm has constant weights.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import stored
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import integer, is_float, real, shape_of
from edgefleet_compiler.passes.record import Effects


def rewrite_activation_gemms(model: ir.Model) -> Effects:
    """Rewrite every Gemm whose second operand is computed at run time."""
    effects = Effects()
    editor = Editor(model.graph)
    for node in list(model.graph):
        if node.op_type == "Gemm" and is_float(node.outputs[0]) and stored(node.inputs[1]) is None:
            _rewrite(node, editor)
            effects["rewrote {} Gemm of activations as MatMul"] += 1
    return effects


def _rewrite(node: ir.Node, editor: Editor) -> None:
    shape = shape_of(node.outputs[0])
    operands = [_turned(node, index, flag, editor) for index, flag in enumerate(("transA", "transB"))]
    product = editor.node("MatMul", operands, name=f"{node.name}/product", shape=shape, before=node)
    product = _scaled(node, product, real(node, "alpha", 1.0), "alpha", editor)
    addend = node.inputs[2] if len(node.inputs) > 2 else None
    if addend is None:
        editor.rewrite(node, "Identity", [product])
    else:
        editor.rewrite(node, "Add", [product, _scaled(node, addend, real(node, "beta", 1.0), "beta", editor)])


def _turned(node: ir.Node, index: int, flag: str, editor: Editor) -> ir.Value:
    """A factor, transposed where its flag says so."""
    value = node.inputs[index]
    assert value is not None
    if not integer(node, flag, 0):
        return value
    shape = shape_of(value)[::-1]
    return editor.node(
        "Transpose", [value], name=f"{node.name}/{flag}", shape=shape, attributes={"perm": [1, 0]}, before=node
    )


def _scaled(node: ir.Node, value: ir.Value, factor: float, name: str, editor: Editor) -> ir.Value:
    """A term times its factor."""
    if factor == 1.0:
        return value
    number = editor.constant(np.array(factor, np.float32), f"{node.name}/{name}")
    return editor.node("Mul", [value, number], name=f"{node.name}/{name}", shape=shape_of(value), before=node)
