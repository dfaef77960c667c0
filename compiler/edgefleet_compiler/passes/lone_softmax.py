"""Softmax over an axis of length 1 is 1, whatever it is given.

Source: ONNX operator specification: softmax(x)_i = exp(x_i) / sum_j exp(x_j), with one term in the sum. Exporters leave
such layers where a model was cut to one class. They must not reach onnxruntime in integers: its QLinearSoftmax builds
its table of exponentials so large that 256 times the largest still is a float32 for two elements, and for one is
infinite; every result then is 0 (onnxruntime 1.31, contrib_ops/cpu/quantization/qlinear_softmax.cc).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import integer, is_float, name_of, shape_of
from edgefleet_compiler.passes.record import Effects


def replace_lone_softmax(model: ir.Model) -> Effects:
    """Put ones in the place of every Softmax over a single element."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type != "Softmax" or not is_float(node.outputs[0]):
            continue
        output = node.outputs[0]
        shape = shape_of(output)
        if shape[integer(node, "axis", -1)] != 1:
            continue
        ones = np.ones(shape, np.float32)
        if output.is_graph_output():
            editor.constant_node(ones, node)
        else:
            output.replace_all_uses_with(editor.constant(ones, name_of(output)))
            graph.remove(node, safe=True)
        effects["replaced {} Softmax of one element"] += 1
    return effects
