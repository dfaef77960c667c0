"""Reductions get their axes written out: constants, counted from the front, in order.

Source: ONNX operator specification, ``ReduceSum`` and its like since opset 18: no axes, or an empty list of them, mean
all of them, unless ``noop_with_empty_axes`` says none.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import input_integers, integer, rank_of
from edgefleet_compiler.hub.operators import REDUCTIONS
from edgefleet_compiler.passes.record import Effects


def write_out_axes(model: ir.Model) -> Effects:
    """Write out the axes of every reduction; one over no axes at all gives back its input."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type not in REDUCTIONS or node.inputs[0] is None:
            continue
        axes = reduced_axes(node, rank_of(node.inputs[0]))
        if axes is None:
            continue
        if not axes:
            editor.rewrite(node, "Identity", [node.inputs[0]])
        elif input_integers(node, 1) != tuple(sorted(axes)):
            operand = editor.constant(np.array(sorted(axes), np.int64), f"{node.name}/axes")
            editor.rewrite(node, node.op_type, [node.inputs[0], operand], {"keepdims": integer(node, "keepdims", 1)})
        else:
            continue
        effects["wrote out the axes of {} reductions"] += 1
    return effects


def reduced_axes(node: ir.Node, rank: int) -> frozenset[int] | None:
    """The axes a reduction reduces; None where they are not known."""
    axes = input_integers(node, 1)
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        return None
    if axes:
        return frozenset(axis % rank for axis in axes)
    return frozenset() if integer(node, "noop_with_empty_axes", 0) else frozenset(range(rank))
