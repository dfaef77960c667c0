from __future__ import annotations

import numpy as np

from edgefleet_compiler.hub.graph import constant, constant_value
from edgefleet_compiler.passes.fold_constants import MOST_BYTES, fold_constants
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


def test_chains_of_constants_are_computed_at_once():
    graph = OnnxGraph()
    weights = graph.constant([[1.0, -2.0], [3.0, -4.0]])
    turned = graph.node("Transpose", graph.node("Relu", weights), perm=[1, 0])
    model = graph.model(graph.node("MatMul", graph.input("x", 1, 2), turned))
    assert dict(apply(fold_constants, model)) == {"folded {} constant nodes": 2}
    assert operators(model) == ["MatMul"]
    np.testing.assert_array_equal(constant(node_of(model, "MatMul").inputs[1]), [[1, 3], [0, 0]])


def test_the_shape_of_an_activation_is_a_constant():
    graph = OnnxGraph()
    source = graph.input("x", 1, 2, 3)
    shape = graph.node("Shape", source, start=1)
    target = graph.node("Concat", graph.constant([1], np.int64), shape, axis=0)
    model = graph.model(graph.node("Reshape", source, target))
    assert dict(apply(fold_constants, model)) == {"folded {} shape queries": 1, "folded {} constant nodes": 1}
    assert constant(node_of(model, "Reshape").inputs[1]).tolist() == [1, 2, 3]


def test_constants_are_folded_whatever_their_nodes_are_called():
    graph = OnnxGraph()
    value = graph.node("Neg", graph.node("Neg", graph.constant([1.0])))
    model = graph.model(graph.node("Add", graph.input("x", 1), value))
    for node in model.graph:
        node.name = "same"
    assert dict(fold_constants(model)) == {"folded {} constant nodes": 2}
    assert operators(model) == ["Add"]


def test_what_depends_on_an_input_stays():
    graph = OnnxGraph()
    model = graph.model(graph.node("Relu", graph.node("Add", graph.input("x", 2), graph.constant([1.0, 2.0]))))
    assert not apply(fold_constants, model)
    assert operators(model) == ["Add", "Relu"]


def test_a_constant_result_of_many_bytes_stays_a_node():
    graph = OnnxGraph()
    rows = MOST_BYTES // 4 // 1024 + 1
    big = graph.node("ConstantOfShape", graph.constant([rows, 1024], np.int64))
    total = graph.node("ReduceMax", big, keepdims=0)
    model = graph.model(graph.node("Add", graph.input("x", 1), total))
    assert not fold_constants(model)
    assert operators(model) == ["ConstantOfShape", "ReduceMax", "Add"]


def test_quantised_constants_are_not_folded_to_float():
    graph = OnnxGraph()
    weights = graph.stored(np.array([[1, 2], [3, 4]], np.int8), 0.5)
    model = graph.model(graph.node("MatMul", graph.input("x", 1, 2), weights))
    assert not apply(fold_constants, model)
    assert operators(model) == ["DequantizeLinear", "MatMul"]


def test_an_output_that_only_depends_on_constants_becomes_a_constant_node():
    graph = OnnxGraph()
    sums = graph.node("Add", graph.constant([1.0, 2.0]), graph.node("Neg", graph.constant([0.5, 0.5])))
    model = graph.model(sums, graph.node("Relu", graph.input("x", 2)))
    assert dict(apply(fold_constants, model)) == {"folded {} constant nodes": 2}
    assert operators(model) == ["Constant", "Relu"]
    np.testing.assert_array_equal(constant_value(node_of(model, "Constant")), [0.5, 1.5])


def test_a_unit_matrix_of_the_shape_of_a_value_is_a_constant():
    graph = OnnxGraph()
    source = graph.input("x", 3, 4)
    model = graph.model(graph.node("Add", source, graph.node("EyeLike", source, k=1)), graph.node("Size", source))
    apply(fold_constants, model)
    assert sorted(operators(model)) == ["Add", "Constant"]
