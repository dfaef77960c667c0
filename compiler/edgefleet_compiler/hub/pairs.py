"""Pairs of QuantizeLinear and DequantizeLinear: whether a hub has them, and the same hub without their rounding.

A hub with pairs computes what its integers stand for, rounded at each pair; without rounding it is the float model that
the integers approximate, and the yardstick for the noise that they bring.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import reals
from edgefleet_compiler.hub.editor import Editor, may_replace
from edgefleet_compiler.hub.graph import constant, dtype_of, name_of, shape_of

PAIR = ("QuantizeLinear", "DequantizeLinear")


def has_pairs(model: ir.Model) -> bool:
    """Whether an activation is quantised."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph)


def activation_types(model: ir.Model) -> tuple[str, ...]:
    """The element types that activations are quantised to, sorted: "int8", "int16"."""
    types = {dtype_of(node.outputs[0]) for node in model.graph if node.op_type == "QuantizeLinear"}
    return tuple(sorted(str(dtype.numpy()) for dtype in types))


def without_rounding(model: ir.Model) -> ir.Model:
    """A copy in float: activations are not rounded, constants are the reals that their integers stand for.

    What pairs saturate stays saturated, by Clip: quantisers leave out a Relu where the integers begin at zero.

    Args:
        model: A hub with pairs; it is not changed.
    """
    copy = model.clone()
    graph = copy.graph
    widen_constants(copy)
    editor = Editor(graph)
    clipped: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        quantise = _input(node).producer() if node.op_type == "DequantizeLinear" else None
        if quantise is None or quantise.op_type != "QuantizeLinear":
            continue
        if quantise.outputs[0] not in clipped:
            clipped[quantise.outputs[0]] = _clipped(quantise, editor)
        editor.replace(node.outputs[0], clipped[quantise.outputs[0]])
        graph.remove(node, safe=True)
    for node in reversed(graph):
        if node.op_type == "QuantizeLinear" and not node.outputs[0].uses():
            graph.remove(node, safe=True)
    return copy


def _clipped(quantise: ir.Node, editor: Editor) -> ir.Value:
    """What a QuantizeLinear reads, within the reals that its integers tell apart."""
    zero_point = constant(quantise.inputs[2])
    assert zero_point is not None
    limits = np.iinfo(zero_point.dtype)
    bounds = [
        editor.constant(reals(quantise, np.asarray(bound)), f"{quantise.name}/bound")
        for bound in (limits.min, limits.max)
    ]
    source = _input(quantise)
    return editor.node(
        "Clip", [source, *bounds], name=f"{name_of(source)}/clip", shape=shape_of(source), before=quantise
    )


def _input(node: ir.Node) -> ir.Value:
    assert node.inputs[0] is not None
    return node.inputs[0]


def widen_constants(model: ir.Model) -> None:
    """Let constants behind a DequantizeLinear be the reals that they stand for, in place."""
    graph = model.graph
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type == "DequantizeLinear" and constant(node.inputs[0]) is not None:
            stored = _input(node)
            array = constant(stored)
            assert array is not None
            source = editor.constant(reals(node, array), f"{name_of(stored)}/real")
            if may_replace(node.outputs[0], source):
                editor.replace(node.outputs[0], source)
                graph.remove(node, safe=True)
