from __future__ import annotations

from edgefleet_compiler.passes.dead_code import remove_dead_code
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


def test_nodes_and_constants_that_no_output_needs_are_removed():
    graph = OnnxGraph()
    source = graph.input("x", 1, 2)
    graph.input("unused", 1, 2)
    graph.node("Relu", graph.node("Add", source, graph.constant([1.0, 2.0])))
    model = graph.model(graph.node("Tanh", source))
    assert dict(apply(remove_dead_code, model)) == {
        "removed {} unused nodes": 2, "removed {} unused constants": 1,
    }  # fmt: skip
    assert operators(model) == ["Tanh"]
    assert [value.name for value in model.graph.inputs] == ["x", "unused"]
