from __future__ import annotations

from edgefleet_compiler.passes.names import name_nodes
from support.onnx_graphs import OnnxGraph


def test_names_are_unique_and_derive_from_the_source():
    graph = OnnxGraph()
    value = graph.input("x", 1, 2)
    for name in ("a", "b", "c", "d"):
        value = graph.node("Relu", value, name=name)
    model = graph.model(value)
    for node, name in zip(model.graph, ("layer", "layer", "", None), strict=True):
        node.name = name
    name_nodes(model)
    assert [node.name for node in model.graph] == ["layer", "layer_1", "c", "d"]
    assert not name_nodes(model)
