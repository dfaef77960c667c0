from __future__ import annotations

import numpy as np

from edgefleet_compiler.passes.empty_values import fold_empty_values
from support.onnx_graphs import OnnxGraph


def test_concat_does_without_operands_that_hold_nothing():
    graph = OnnxGraph()
    source = graph.input("x", 2, 4)
    bounds = [graph.constant([number], np.int64) for number in (4, 9, 1)]
    nothing = graph.node("Relu", graph.node("Slice", source, *bounds))
    model = graph.model(graph.node("Concat", graph.node("Relu", source), nothing, axis=1))
    assert fold_empty_values(model)["folded {} values without elements"] == 2
    assert [node.op_type for node in model.graph] == ["Relu", "Concat"]
    assert len(model.graph.node(-1).inputs) == 1
    assert not fold_empty_values(model)


def test_a_split_that_cuts_nothing_off_goes():
    graph = OnnxGraph()
    sizes = graph.constant([4, 0], np.int64)
    whole = graph.node("Split", graph.input("x", 2, 4), sizes, outputs=2, axis=1)
    model = graph.model(graph.node("Concat", graph.node("Relu", whole), graph.node("Relu", f"{whole}_1"), axis=1))
    assert fold_empty_values(model)["removed {} Split that only cut nothing off"] == 1
    assert [node.op_type for node in model.graph] == ["Relu", "Concat"]


def test_an_output_of_the_graph_stays_though_it_holds_nothing():
    graph = OnnxGraph()
    bounds = [graph.constant([number], np.int64) for number in (4, 9, 1)]
    model = graph.model(graph.node("Slice", graph.input("x", 2, 4), *bounds))
    assert not fold_empty_values(model)
    assert [node.op_type for node in model.graph] == ["Slice"]
