"""Unsigned integers of pairs become signed, so that there is one form of the same reals.

Stored values and zero points move by half their range (128, or 32768): DequantizeLinear gives the same. Zero points
that are left out are written out. Weights become symmetric where their integers minus zero point fit, which is what
TFLite's kernels take. Source: ONNX operator specification, ``QuantizeLinear``; TensorFlow Lite 8-bit quantization
specification.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import channel_axis
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import Constant, constant, dtype_of, name_of
from edgefleet_compiler.hub.pairs import PAIR
from edgefleet_compiler.passes.record import Effects

_SIGNED: dict[np.dtype[np.generic], np.dtype[np.generic]] = {
    np.dtype(np.uint8): np.dtype(np.int8),
    np.dtype(np.uint16): np.dtype(np.int16),
}
_LARGEST_WEIGHT = 127
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def sign_integers(model: ir.Model) -> Effects:
    """Let every pair, and every constant behind a DequantizeLinear, be signed; weights symmetric where they can be."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    nodes = [node for node in graph if node.op_type in PAIR and constant(node.inputs[1]) is not None]
    for node in nodes:  # before any of them changes its type, which is that of a zero point left out
        _write_out_zero_point(node, editor)
    for node in nodes:
        node.attributes.pop("output_dtype", None)  # the zero point tells
        if _sign(node, editor):
            effects["made {} unsigned integers signed"] += 1
        if _is_weight(node) and _centre(node, editor):
            effects["made {} weights symmetric"] += 1
    return effects


def _write_out_zero_point(node: ir.Node, editor: Editor) -> None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return
    scale, stored = constant(node.inputs[1]), node.inputs[0] if node.op_type == "DequantizeLinear" else node.outputs[0]
    assert scale is not None
    assert stored is not None
    node.resize_inputs(3)
    node.replace_input_with(2, editor.constant(np.zeros(scale.shape, dtype_of(stored).numpy()), f"{node.name}/zero"))


def _sign(node: ir.Node, editor: Editor) -> bool:
    zero_point = constant(node.inputs[2])
    signed = None if zero_point is None else _SIGNED.get(zero_point.dtype)
    if zero_point is None or signed is None:
        return False
    node.replace_input_with(2, editor.constant(_moved(zero_point, signed), f"{node.name}/zero"))
    stored = constant(node.inputs[0])
    if stored is not None:
        node.replace_input_with(0, editor.constant(_moved(stored, signed), f"{name_of(_input(node))}/signed"))
    if node.op_type == "QuantizeLinear":
        node.outputs[0].type = ir.TensorType(ir.DataType.from_numpy(signed))
    return True


def _moved(array: Constant, signed: np.dtype[np.generic]) -> Constant:
    """The integers less half their range."""
    half = 1 << (8 * signed.itemsize - 1)
    return np.asarray((array.astype(np.int32) - half).astype(signed))


def _is_weight(node: ir.Node) -> bool:
    """Whether the node makes reals of the weights of a convolution or product, and of nothing else."""
    if node.op_type != "DequantizeLinear" or constant(node.inputs[0]) is None:
        return False
    uses = node.outputs[0].uses()
    return bool(uses) and all(use.node.op_type in _WEIGHTED and use.idx == 1 for use in uses)


def _centre(node: ir.Node, editor: Editor) -> bool:
    """Give int8 weights a zero point of 0, if they fit."""
    stored, zero_point = constant(node.inputs[0]), constant(node.inputs[2])
    if stored is None or zero_point is None or stored.dtype != np.int8 or not zero_point.any():
        return False
    axis = channel_axis(node, stored.ndim)
    shape = tuple(-1 if index == axis else 1 for index in range(stored.ndim))
    steps = stored.astype(np.int32) - zero_point.astype(np.int32).reshape(shape)
    if np.abs(steps).max(initial=0) > _LARGEST_WEIGHT:
        return False
    node.replace_input_with(0, editor.constant(steps.astype(np.int8), f"{name_of(_input(node))}/centred"))
    node.replace_input_with(2, editor.constant(np.zeros_like(zero_point), f"{node.name}/zero"))
    return True


def _input(node: ir.Node) -> ir.Value:
    assert node.inputs[0] is not None
    return node.inputs[0]
