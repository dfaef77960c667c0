"""Products with weights that are stored as integers take the normal form of Gemm, their integers transposed.

Source: ONNX operator specification, ``Gemm`` and ``MatMul``. Only moves: where alpha or beta scale something, or the
bias varies from row to row, the node stays as it is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import channel_axis, moved, stored
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, integer, is_float, rank_of, real, shape_of
from edgefleet_compiler.passes.gemms import NORMAL, is_normal_gemm
from edgefleet_compiler.passes.record import Effects


def normalise_integer_gemms(model: ir.Model) -> Effects:
    """Rewrite 2-D MatMul and Gemm whose weights stand behind a DequantizeLinear."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type in ("MatMul", "Gemm") and is_float(node.outputs[0]) and _rewrite(node, editor):
            effects["rewrote {} products of integers as Gemm"] += 1
    return effects


def _rewrite(node: ir.Node, editor: Editor) -> bool:
    source, weights = node.inputs[0], node.inputs[1]
    if source is None or weights is None or constant(weights) is not None or stored(weights) is None:
        return False
    if rank_of(source) != 2 or rank_of(weights) != 2 or not _only_moves(node) or is_normal_gemm(node):
        return False
    if not integer(node, "transB", 0):
        dequantise = weights.producer()
        assert dequantise is not None
        axis = channel_axis(dequantise, 2)
        weights = moved(editor, weights, np.transpose, f"{node.name}/weights", axis=None if axis is None else 1 - axis)
    editor.rewrite(node, "Gemm", [source, weights, *node.inputs[2:]], NORMAL)
    return True


def _only_moves(node: ir.Node) -> bool:
    if node.op_type == "MatMul":
        return True
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    plain = bias is None or (stored(bias) is not None and shape_of(bias) == shape_of(node.outputs[0])[-1:])
    factors = {real(node, "alpha", 1.0), 1.0 if bias is None else real(node, "beta", 1.0)}
    return plain and factors == {1.0} and not integer(node, "transA", 0)
