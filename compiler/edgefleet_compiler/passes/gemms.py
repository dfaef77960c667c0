"""MatMul with a constant, and every Gemm, becomes one Gemm y = x · Wᵀ + b with W of shape [out, in].

Source: ONNX operator specification, ``Gemm``: y = alpha * A' * B' + beta * C; ``transB=1`` is the layout of TFLite's
FULLY_CONNECTED and puts the output channel on axis 0, as in a convolution.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.dequantised import stored
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, integer, is_float, rank_of, real, shape_of
from edgefleet_compiler.passes.record import Effects

NORMAL = {"transB": 1}
"""The attributes of a Gemm in normal form."""


def normalise_gemms(model: ir.Model) -> Effects:
    """Rewrite 2-D MatMul with constant weights, and Gemm with constant weights, to the normal form."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if not node.outputs or not is_float(node.outputs[0]):
            continue
        if node.op_type == "MatMul" and _rewrite_matmul(node, editor):
            effects["rewrote {} MatMul as Gemm"] += 1
        elif node.op_type == "Gemm" and _rewrite_gemm(node, editor):
            effects["normalised {} Gemm"] += 1
    return effects


def _rewrite_matmul(node: ir.Node, editor: Editor) -> bool:
    source, weights = node.inputs[0], constant(node.inputs[1])
    if source is None or weights is None or weights.ndim != 2 or rank_of(source) != 2:
        return False
    editor.rewrite(node, "Gemm", [source, editor.constant(weights.T, f"{node.name}/weights")], NORMAL)
    return True


def _rewrite_gemm(node: ir.Node, editor: Editor) -> bool:
    source, weights = node.inputs[0], constant(node.inputs[1])
    if source is None or weights is None or is_normal_gemm(node):
        return False
    if integer(node, "transA", 0):
        rows, columns = shape_of(source)
        source = editor.node(
            "Transpose",
            [source],
            name=f"{node.name}/transpose",
            shape=(columns, rows),
            attributes={"perm": [1, 0]},
            before=node,
        )
    matrix = weights if integer(node, "transB", 0) else weights.T
    matrix = (matrix * np.float32(real(node, "alpha", 1.0))).astype(np.float32)
    inputs = [source, editor.constant(matrix, f"{node.name}/weights")]
    addend = node.inputs[2] if len(node.inputs) > 2 else None
    if addend is None:
        editor.rewrite(node, "Gemm", inputs, NORMAL)
        return True
    bias = _bias_vector(addend, matrix.shape[0])
    beta = np.float32(real(node, "beta", 1.0))
    if bias is not None:
        inputs.append(editor.constant(bias * beta, f"{node.name}/bias"))
        editor.rewrite(node, "Gemm", inputs, NORMAL)
        return True
    shape = shape_of(node.outputs[0])
    product = editor.node("Gemm", inputs, name=f"{node.name}/product", shape=shape, attributes=NORMAL, before=node)
    if beta != 1.0:
        factor = editor.constant(np.array(beta), f"{node.name}/beta")
        addend = editor.node("Mul", [addend, factor], name=f"{node.name}/scaled", shape=shape_of(addend), before=node)
    editor.rewrite(node, "Add", [product, addend])
    return True


def is_normal_gemm(node: ir.Node) -> bool:
    """Whether a Gemm is y = x · Wᵀ + b already, with b one number per output, or absent."""
    if set(node.attributes) != {"transB"} or not integer(node, "transB", 0):
        return False
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    assert node.inputs[1] is not None
    return stored(node.inputs[2]) is not None and shape_of(node.inputs[2]) == shape_of(node.inputs[1])[:1]


def _bias_vector(addend: ir.Value, width: int) -> NDArray[np.float32] | None:
    """The addend as one number per output; None where it varies from row to row, or is no constant."""
    array = constant(addend)
    if array is None or (array.ndim == 2 and array.shape[0] != 1):
        return None
    return np.broadcast_to(array.astype(np.float32).reshape(-1), (width,)).copy()
