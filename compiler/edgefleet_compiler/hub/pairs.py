"""Pairs of QuantizeLinear and DequantizeLinear: whether a hub has them, and the same hub without.

A hub with pairs computes what its integers stand for, rounded at each pair; without them it is the float model that
the integers approximate, and the yardstick for the noise that they bring.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import reals
from edgefleet_compiler.hub.editor import Editor, may_replace
from edgefleet_compiler.hub.graph import constant, dtype_of, name_of

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
