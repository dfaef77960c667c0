"""Pairs of QuantizeLinear and DequantizeLinear: whether a hub has them, and the same hub without their rounding.

A hub with pairs computes what its integers stand for, rounded at each pair; without rounding it is the float model that
the integers approximate, and the yardstick for the noise that they bring.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import reals
from edgefleet_compiler.hub.editor import Editor, may_replace
from edgefleet_compiler.hub.graph import constant, dtype_of, name_of, shape_of, sole_consumer

_MOVES = ("Reshape", "Transpose")
PAIR = ("QuantizeLinear", "DequantizeLinear")


def has_pairs(model: ir.Model) -> bool:
    """Whether an activation is quantised."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph)


def activation_types(model: ir.Model) -> tuple[str, ...]:
    """The element types that activations are quantised to, sorted: "int8", "int16"."""
    types = {dtype_of(node.outputs[0]) for node in model.graph if node.op_type == "QuantizeLinear"}
    return tuple(sorted(str(dtype.numpy()) for dtype in types))


def repeat_pairs_at_border(model: ir.Model) -> None:
    """Put a pair beside every input and output that only a Transpose or Reshape parts from its pair, in place.

    The pass over layouts leaves these at the border. What is rounded twice by the same parameters is rounded once; and
    with pairs at the very border, integers can be taken and given there.
    """
    graph = model.graph
    editor = Editor(graph)
    for value in graph.inputs:
        move = sole_consumer(value)
        quantise = sole_consumer(move.outputs[0]) if move is not None and move.op_type in _MOVES else None
        if move is not None and quantise is not None and quantise.op_type == "QuantizeLinear":
            move.replace_input_with(0, _repeated(quantise, value, editor, before=move))
    for index, value in enumerate(graph.outputs):
        producer = value.producer()
        dequantise = _input(producer).producer() if producer is not None and producer.op_type in _MOVES else None
        if producer is None or dequantise is None or dequantise.op_type != "DequantizeLinear" or value.uses():
            continue
        name = name_of(value)
        value.name = editor.value_name(f"{name}/raw")
        graph.outputs[index] = _repeated(dequantise, value, editor, before=None)
        graph.outputs[index].name = name


def _repeated(pair: ir.Node, value: ir.Value, editor: Editor, before: ir.Node | None) -> ir.Value:
    """``value`` through a pair with the parameters of a pair's node."""
    parameters = pair.inputs[1:]
    stored = dtype_of(parameters[1]) if len(parameters) > 1 and parameters[1] is not None else ir.DataType.UINT8
    shape, name = shape_of(value), name_of(value)
    quantised = editor.node(
        "QuantizeLinear", [value, *parameters], name=f"{name}/quantise", shape=shape, dtype=stored, before=before
    )
    return editor.node(
        "DequantizeLinear", [quantised, *parameters], name=f"{name}/dequantise", shape=shape, before=before
    )


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
