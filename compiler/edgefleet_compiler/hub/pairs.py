"""Pairs of QuantizeLinear and DequantizeLinear: whether a hub has them, and the same hub without.

A hub with pairs computes what its integers stand for, rounded at each pair; without them it is the float model that
the integers approximate, and the yardstick for the noise that they bring.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor, may_replace
from edgefleet_compiler.hub.graph import constant, dtype_of, integer, name_of, shape_of

PAIR = ("QuantizeLinear", "DequantizeLinear")


def has_pairs(model: ir.Model) -> bool:
    """Whether an activation is quantised."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph)


def activation_types(model: ir.Model) -> tuple[str, ...]:
    """The element types that activations are quantised to, sorted: "int8", "int16"."""
    types = {dtype_of(node.outputs[0]) for node in model.graph if node.op_type == "QuantizeLinear"}
    return tuple(sorted(str(dtype.numpy()) for dtype in types))


def without_pairs(model: ir.Model) -> ir.Model:
    """A copy in float: activations are not rounded, constants are the reals that their integers stand for.

    Args:
        model: A hub with pairs; it is not changed.
    """
    copy = model.clone()
    graph = copy.graph
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type != "DequantizeLinear":
            continue
        source = _real_source(node, editor)
        if source is not None and may_replace(node.outputs[0], source):
            editor.replace(node.outputs[0], source)
            graph.remove(node, safe=True)
        elif source is not None:
            editor.rewrite(node, "Identity", [source])
    for node in reversed(graph):
        if node.op_type == "QuantizeLinear" and not node.outputs[0].uses():
            graph.remove(node, safe=True)
    for value in list(graph.initializers.values()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name_of(value)]
    return copy


def _real_source(node: ir.Node, editor: Editor) -> ir.Value | None:
    """The real value that a DequantizeLinear gives back, if it is known as one."""
    stored = node.inputs[0]
    assert stored is not None
    if (array := constant(stored)) is not None:
        return editor.constant(reals(node, array), f"{name_of(stored)}/real")
    quantise = stored.producer()
    return quantise.inputs[0] if quantise is not None and quantise.op_type == "QuantizeLinear" else None


def reals(node: ir.Node, stored: NDArray[np.generic]) -> NDArray[np.float32]:
    """What a DequantizeLinear with constant parameters makes of integers, float32."""
    scale, zero_point = constant(node.inputs[1]), constant(node.inputs[2]) if len(node.inputs) > 2 else None
    assert scale is not None
    along = [1] * stored.ndim
    if scale.size > 1:
        along[integer(node, "axis", 1)] = -1
    shape = tuple(along) if scale.ndim else ()
    origin = np.zeros((), np.int64) if zero_point is None else zero_point.astype(np.int64).reshape(shape)
    result: NDArray[np.float32] = ((stored.astype(np.int64) - origin) * scale.astype(np.float64).reshape(shape)).astype(
        np.float32
    )
    return result


def parameter_shape(node: ir.Node) -> tuple[int, ...]:
    """The shape of the scale of a pair's node: () for one scale."""
    assert node.inputs[1] is not None
    return shape_of(node.inputs[1])
