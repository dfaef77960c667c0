"""Flatten, Squeeze, Unsqueeze and chains of Reshape become one Reshape with a constant shape.

Source: ONNX operator specification: all of these keep the elements and their order, and only the last shape of a chain
counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import input_integers, name_of, shape_of
from edgefleet_compiler.passes.record import Effects


def merge_reshapes(model: ir.Model) -> Effects:
    """Leave at most one Reshape between two other operators, with every dimension written out."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type not in ("Reshape", "Flatten", "Squeeze", "Unsqueeze") or node.inputs[0] is None:
            continue
        source, shape = node.inputs[0], shape_of(node.outputs[0])
        producer = source.producer()
        if producer is not None and producer.op_type == "Reshape" and producer.inputs[0] is not None:
            source = producer.inputs[0]
            effects["merged {} Reshape with the one before"] += 1
        elif node.op_type != "Reshape":
            effects[f"rewrote {{}} {node.op_type} as Reshape"] += 1
        elif input_integers(node, 1) == shape:
            continue
        else:
            effects["wrote out the shape of {} Reshape"] += 1
        editor.rewrite(node, "Reshape", [source, shape_constant(editor, shape, name_of(node.outputs[0]))])
    return effects


def reshape(
    editor: Editor, value: ir.Value, shape: Sequence[int], *, before: ir.Node | None, dtype: ir.DataType
) -> ir.Value:
    """A new Reshape of ``value`` to ``shape``."""
    name = f"{value.name}/reshaped"
    return editor.node(
        "Reshape", [value, shape_constant(editor, shape, name)], name=name, shape=shape, dtype=dtype, before=before
    )


def shape_constant(editor: Editor, shape: Sequence[int], name: str) -> ir.Value:
    """A new initializer that holds a shape for a Reshape."""
    return editor.constant(np.array(shape, np.int64), f"{name}/shape")
