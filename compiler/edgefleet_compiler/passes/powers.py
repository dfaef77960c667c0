"""Powers with a constant exponent become what they stand for, where that is exact or as exact.

Source: ONNX operator specification, ``Pow``: the result has the type of the base. x^1 is x, x^2 is x * x, x^3 is
x * x * x, x^½ is sqrt(x) and x^-1 is 1 / x; runtimes compute these without logarithms. Another exponent gets the type
of the base, in which both runtimes compute, if that holds it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, dtype_of, is_float, name_of, shape_of
from edgefleet_compiler.passes.record import Effects


def rewrite_powers(model: ir.Model) -> Effects:
    """Rewrite every Pow by a constant."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type != "Pow" or node.inputs[0] is None:
            continue
        exponent = constant(node.inputs[1])
        if exponent is None:
            continue
        single = float(exponent.reshape(-1)[0]) if exponent.size == 1 else None
        if single is not None and shape_of(node.inputs[0]) == shape_of(node.outputs[0]):
            effects["rewrote {} Pow by a small exponent"] += int(_rewrite(node, node.inputs[0], single, editor))
        if node.graph is not None:
            effects["gave {} exponents the type of their base"] += int(_align_type(node, exponent, editor))
    return +effects


def _rewrite(node: ir.Node, base: ir.Value, exponent: float, editor: Editor) -> bool:
    """Put another operator in the place of a Pow by this exponent; False where there is none."""
    if exponent == 1.0:
        editor.rewrite(node, "Identity", [base])
    elif exponent == 2.0:
        editor.rewrite(node, "Mul", [base, base])
    elif exponent == 3.0:
        square = editor.node(
            "Mul", [base, base], name=f"{node.name}/square", shape=shape_of(base), dtype=dtype_of(base), before=node
        )
        editor.rewrite(node, "Mul", [square, base])
    elif exponent == 0.5 and is_float(base):
        editor.rewrite(node, "Sqrt", [base])
    elif exponent == -1.0 and is_float(base):
        editor.rewrite(node, "Reciprocal", [base])
    else:
        return False
    return True


def _align_type(node: ir.Node, exponent: np.ndarray[tuple[int, ...], np.dtype[np.generic]], editor: Editor) -> bool:
    base, old = node.inputs[0], node.inputs[1]
    assert base is not None
    assert old is not None
    wanted = dtype_of(base).numpy()
    converted = exponent.astype(wanted)
    if exponent.dtype == wanted or not np.array_equal(converted, exponent):
        return False
    node.replace_input_with(1, editor.constant(converted, f"{name_of(old)}/typed"))
    return True
