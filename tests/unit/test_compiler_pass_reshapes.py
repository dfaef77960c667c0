from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import input_integers
from edgefleet_compiler.passes.reshapes import merge_reshapes
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


@pytest.mark.parametrize(
    ("operator", "operand", "attributes", "shape"),
    [
        ("Flatten", None, {"axis": 2}, (2, 3)),
        ("Flatten", None, {}, (1, 6)),
        ("Squeeze", None, {}, (2, 3)),
        ("Squeeze", [0], {}, (2, 1, 3)),
        ("Unsqueeze", [0, 5], {}, (1, 1, 2, 1, 3, 1)),
        ("Reshape", [0, -1], {}, (1, 6)),
        ("Reshape", [3, -1, 1], {"allowzero": 1}, (3, 2, 1)),
    ],
)
def test_whatever_keeps_the_order_of_elements_is_a_reshape(operator, operand, attributes, shape):
    graph = OnnxGraph()
    operands = [] if operand is None else [graph.constant(operand, np.int64)]
    model = graph.model(graph.node(operator, graph.input("x", 1, 2, 1, 3), *operands, **attributes))
    apply(merge_reshapes, model)
    node = node_of(model, "Reshape")
    assert input_integers(node, 1) == shape
    assert not node.attributes


def test_of_a_chain_only_the_last_shape_counts():
    graph = OnnxGraph()
    first = graph.reshape(graph.input("x", 2, 3, 4), 6, 4)
    second = graph.node("Unsqueeze", graph.node("Flatten", first), graph.constant([0], np.int64))
    model = graph.model(graph.node("Relu", second))
    merge_reshapes(model)
    last = node_of(model, "Relu").inputs[0].producer()
    assert last.inputs[0].is_graph_input()
    assert input_integers(last, 1) == (1, 6, 4)


def test_a_value_used_in_between_stays():
    graph = OnnxGraph()
    flat = graph.reshape(graph.input("x", 2, 3), 6)
    model = graph.model(graph.reshape(flat, 3, 2), graph.node("Relu", flat))
    apply(merge_reshapes, model)
    assert operators(model) == ["Reshape", "Reshape", "Relu"]
