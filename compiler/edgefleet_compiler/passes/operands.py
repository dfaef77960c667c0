"""Arithmetic with a constant becomes Add or Mul with the constant second.

Source: x - c = x + (-c), x / c = x * (1/c), and commutativity. The quotient may differ from the product in the last
bit, since 1/c is rounded. Later passes then look for one form, and no runtime needs an integer division.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, is_float
from edgefleet_compiler.passes.record import Effects


def normalise_operands(model: ir.Model) -> Effects:
    """Rewrite Sub and Div of constants; order the operands of Add and Mul."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type not in ("Add", "Sub", "Mul", "Div") or not is_float(node.outputs[0]):
            continue
        first, second = node.inputs
        if first is None or second is None:
            continue
        number = constant(second)
        if node.op_type in ("Add", "Mul") and constant(first) is not None and number is None:
            editor.rewrite(node, node.op_type, [second, first])
            effects["put {} constants second"] += 1
        elif node.op_type == "Sub" and number is not None:
            editor.rewrite(node, "Add", [first, editor.constant(-number, f"{second.name}/negated")])
            effects["rewrote {} Sub of a constant as Add"] += 1
        elif node.op_type == "Div" and number is not None and bool(np.all(np.abs(number) > np.finfo(np.float32).tiny)):
            inverse = (1.0 / number.astype(np.float64)).astype(np.float32)
            editor.rewrite(node, "Mul", [first, editor.constant(inverse, f"{second.name}/inverse")])
            effects["rewrote {} Div by a constant as Mul"] += 1
    return effects
