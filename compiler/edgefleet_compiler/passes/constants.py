"""Constant nodes become initializers.

Source: ONNX operator specification, ``Constant``: a node whose output is an attribute. As an initializer the value
needs no node, and every pass finds it in one place.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import Constant, name_of
from edgefleet_compiler.passes.record import Effects


def constants_to_initializers(model: ir.Model) -> Effects:
    """Turn every Constant node that no graph output needs into an initializer."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type != "Constant" or node.outputs[0].is_graph_output():
            continue
        array = _value(node)
        if array is None:
            continue
        old = node.outputs[0]
        old.replace_all_uses_with(editor.constant(array, name_of(old)))
        graph.remove(node, safe=True)
        effects["made {} Constant an initializer"] += 1
    return effects


def _value(node: ir.Node) -> Constant | None:
    """The value in whichever attribute holds it; None for strings and sparse tensors, which no operator here takes."""
    for name, attribute in node.attributes.items():
        match name:
            case "value":
                return attribute.as_tensor().numpy()
            case "value_float":
                return np.array(attribute.as_float(), np.float32)
            case "value_floats":
                return np.array(attribute.as_floats(), np.float32)
            case "value_int":
                return np.array(attribute.as_int(), np.int64)
            case "value_ints":
                return np.array(attribute.as_ints(), np.int64)
    return None
