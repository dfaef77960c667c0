"""Relu, Clip, and Max or Min with a constant become one Relu or one Clip with both bounds.

Source: ONNX operator specification, ``Clip``: ``Min(max, Max(input, min))``; bounds left out are the type's limits.
Clipping twice is clipping once, to the first interval clipped by the second.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.clip import Interval, interval_of, rewrite_as_clip
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, is_float, shape_of
from edgefleet_compiler.passes.record import Effects


def normalise_clips(model: ir.Model) -> Effects:
    """Merge chains of clipping operators; drop those that clip nothing; give every Clip its two bounds."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if not is_float(node.outputs[0]):
            continue
        _extremum_to_clip(node, editor, effects)
    for node in list(graph):
        interval, source = interval_of(node), node.inputs[0] if node.inputs else None
        if interval is None or source is None or not is_float(node.outputs[0]):
            continue
        producer = source.producer()
        inner = interval_of(producer)
        if producer is not None and inner is not None:
            rewrite_as_clip(editor, node, _source(producer), inner.then(interval))
            effects["merged {} clipping operators with the one before"] += 1
        elif interval == Interval(-np.inf, np.inf):
            effects["removed {} Clip without bounds"] += int(editor.bypass(node))
        elif node.op_type == "Clip" and (interval == Interval(0.0, np.inf) or not _has_both_bounds(node)):
            rewrite_as_clip(editor, node, source, interval)
            effects["normalised {} Clip"] += 1
    return +effects


def _source(node: ir.Node) -> ir.Value:
    assert node.inputs[0] is not None
    return node.inputs[0]


def _has_both_bounds(node: ir.Node) -> bool:
    return len(node.inputs) == 3 and None not in node.inputs


def _extremum_to_clip(node: ir.Node, editor: Editor, effects: Effects) -> None:
    """Max(x, c) is Clip(x, c, ∞) and Min(x, c) is Clip(x, -∞, c), for a constant c of one element."""
    if node.op_type not in ("Max", "Min") or len(node.inputs) != 2:
        return
    for source, operand in (node.inputs, reversed(node.inputs)):
        bound = constant(operand)
        if source is None or constant(source) is not None or bound is None or bound.size != 1:
            continue
        if shape_of(source) != shape_of(node.outputs[0]):
            continue
        number = float(bound.reshape(()))
        interval = Interval(number, np.inf) if node.op_type == "Max" else Interval(-np.inf, number)
        effects[f"rewrote {{}} {node.op_type} with a constant as Clip"] += 1
        rewrite_as_clip(editor, node, source, interval)
        return
