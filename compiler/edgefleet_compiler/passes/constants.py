"""Constant nodes become initializers.

Source: ONNX operator specification, ``Constant``: a node whose output is an attribute. As an initializer the value
needs no node, and every pass finds it in one place.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant_value, name_of
from edgefleet_compiler.passes.record import Effects


def constants_to_initializers(model: ir.Model) -> Effects:
    """Let initializers stand for Constant nodes; one that gives a graph output stays for that alone."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type != "Constant":
            continue
        array, old = constant_value(node), node.outputs[0]
        if array is None:
            continue
        if old.uses():
            value = editor.constant(array, name_of(old))
            for user, index in list(old.uses()):
                user.replace_input_with(index, value)
        elif old.is_graph_output():
            continue
        if not old.is_graph_output():
            graph.remove(node, safe=True)
        effects["made {} Constant an initializer"] += 1
    return effects
