"""Values without elements are constants; Concat and Split do without them.

Source: ONNX operator specification; a shape with a 0 in it holds nothing, so there is nothing to compute. Definitions
of operators make such values where an option leaves nothing to do, as RotaryEmbedding does with what is not rotated.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor, may_replace
from edgefleet_compiler.hub.graph import constant, dtype_of, has_static_shape, name_of, shape_of
from edgefleet_compiler.passes.record import Effects


def fold_empty_values(model: ir.Model) -> Effects:
    """Let constants stand for values without elements, and leave them out of Concat and Split; graph outputs stay."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        for value in node.outputs:
            if _is_empty(value) and value.uses() and not value.is_graph_output():
                array = np.zeros(shape_of(value), dtype_of(value).numpy())
                value.replace_all_uses_with(editor.constant(array, name_of(value)))
                effects["folded {} values without elements"] += 1
        if node.op_type == "Concat":
            effects["removed {} empty operands of Concat"] += _leave_out_empty(node)
        if node.op_type == "Split":
            effects["removed {} Split that only cut nothing off"] += _pass_whole(node, editor)
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
    return +effects


def _leave_out_empty(node: ir.Node) -> int:
    """How many operands were left out; all stay where no other is there."""
    kept = [value for value in node.inputs if value is None or constant(value) is None or not _is_empty(value)]
    removed = len(node.inputs) - len(kept)
    if not kept or not removed:
        return 0
    for index, value in enumerate(kept):
        node.replace_input_with(index, value)
    node.resize_inputs(len(kept))
    return removed


def _pass_whole(node: ir.Node, editor: Editor) -> int:
    """Let the input of a Split stand for its one part that holds anything."""
    source, parts = node.inputs[0], [value for value in node.outputs if not _is_empty(value)]
    if len(parts) != 1 or source is None or len(node.outputs) == 1 or not may_replace(parts[0], source):
        return 0
    editor.replace(parts[0], source)
    return 1


def _is_empty(value: ir.Value) -> bool:
    known = bool(value.name) and has_static_shape(value) and value.dtype is not None
    return known and 0 in shape_of(value)
