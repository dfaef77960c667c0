"""Sum, Mean, Max and Min of any number of operands take two at a time.

Source: ONNX operator specification: all of them broadcast, and Mean is the Sum over the number of operands. Sums are
formed from the first operand on, as onnxruntime does.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import dtype_of, shape_of
from edgefleet_compiler.passes.record import Effects

_OF_TWO = {"Sum": "Add", "Mean": "Add", "Max": "Max", "Min": "Min"}


def take_two_at_a_time(model: ir.Model) -> Effects:
    """Rewrite Sum and Mean, and Max and Min of more than two operands."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        operator = _OF_TWO.get(node.op_type)
        operands = [value for value in node.inputs if value is not None]
        if operator is None or (operator == node.op_type and len(operands) <= 2):
            continue
        effects[f"rewrote {{}} {node.op_type} as {operator} of two"] += 1
        *pairs, last = operands
        mean_of = len(operands) if node.op_type == "Mean" else 1
        combined = _combined(editor, node, operator, operands if mean_of > 1 else pairs)
        if mean_of > 1:
            share = editor.constant(np.array(1 / mean_of, np.float32), f"{node.name}/share")
            editor.rewrite(node, "Mul", [combined, share])
        elif combined is None:
            editor.rewrite(node, "Identity", [last])
        else:
            editor.rewrite(node, operator, [combined, last])
    return effects


def _combined(editor: Editor, node: ir.Node, operator: str, operands: list[ir.Value]) -> ir.Value | None:
    """The operands as one, by nodes that stand before ``node``; None where there are none."""
    result: ir.Value | None = None
    for operand in operands:
        if result is None:
            result = operand
            continue
        shape = np.broadcast_shapes(shape_of(result), shape_of(operand))
        name = f"{node.name}/{operator.lower()}"
        inputs = [result, operand]
        result = editor.node(operator, inputs, name=name, shape=shape, dtype=dtype_of(result), before=node)
    return result
