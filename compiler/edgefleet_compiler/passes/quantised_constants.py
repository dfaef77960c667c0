"""Constants that go through a pair, or are moved behind a DequantizeLinear, are stored as what comes of it.

Source: ONNX operator specification, ``QuantizeLinear``: rounded half to even, saturated. Reshape and Transpose move
integers as well as the reals that they stand for. What sets an operator rather than goes through it (what Pad fills
with, the parameters of a normalisation) is stored as reals: no kernel takes it in integers.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import channel_axis, is_per_tensor, moved, reals, stored
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, dtype_of, integers, name_of, shape_of
from edgefleet_compiler.hub.operators import BROADCASTING
from edgefleet_compiler.passes.record import Effects

_OPERATING = BROADCASTING | {"Concat", "Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu", "Reshape", "Transpose"}
"""Operators that take constants as operands; others are set by them."""


def store_quantised_constants(model: ir.Model) -> Effects:
    """Fold QuantizeLinear of constants, and Reshape and Transpose behind their DequantizeLinear."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type == "QuantizeLinear" and _store(node, editor):
            effects["stored {} constants as integers"] += 1
        elif node.op_type in ("Reshape", "Transpose") and _move(node, editor):
            effects["moved {} stored constants"] += 1
        elif node.op_type == "DequantizeLinear" and _widen(node, editor):
            effects["widened {} stored settings"] += 1
    return effects


def _store(node: ir.Node, editor: Editor) -> bool:
    if len(node.inputs) < 3 or node.outputs[0].is_graph_output():
        return False
    array, scale, zero_point = (constant(value) for value in node.inputs)
    if array is None or scale is None or zero_point is None:
        return False
    axis = channel_axis(node, array.ndim)
    shape = tuple(-1 if index == axis else 1 for index in range(array.ndim))
    limits = np.iinfo(zero_point.dtype)
    steps = np.rint(array / scale.reshape(shape)) + zero_point.reshape(shape)
    stored_array = np.clip(steps, limits.min, limits.max).astype(zero_point.dtype)
    node.outputs[0].replace_all_uses_with(editor.constant(stored_array, name_of(node.outputs[0])))
    editor.graph.remove(node, safe=True)
    return True


def _widen(node: ir.Node, editor: Editor) -> bool:
    array, output = constant(node.inputs[0]), node.outputs[0]
    uses = output.uses()
    if array is None or output.is_graph_output() or not uses:
        return False
    if any(use.node.op_type in _OPERATING for use in uses):
        return False
    output.replace_all_uses_with(editor.constant(reals(node, array), name_of(output)))
    editor.graph.remove(node, safe=True)
    return True


def _move(node: ir.Node, editor: Editor) -> bool:
    source, output = node.inputs[0], node.outputs[0]
    dequantise = source.producer() if source is not None else None
    if source is None or dequantise is None or stored(source) is None or output.is_graph_output():
        return False
    axis = channel_axis(dequantise, len(shape_of(source)))
    if node.op_type == "Transpose":
        permutation = integers(node, "perm") or tuple(reversed(range(len(shape_of(source)))))
        place = None if axis is None else permutation.index(axis)
        result = moved(editor, source, lambda array: array.transpose(permutation), name_of(output), axis=place)
    elif is_per_tensor(dequantise):
        result = moved(editor, source, lambda array: array.reshape(shape_of(output)), name_of(output))
    else:
        return False
    assert dtype_of(result) == dtype_of(output)
    output.replace_all_uses_with(result)
    editor.graph.remove(node, safe=True)
    return True
