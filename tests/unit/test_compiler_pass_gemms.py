from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant, shape_of
from edgefleet_compiler.passes.gemms import is_normal_gemm, normalise_gemms
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


def test_a_product_with_a_constant_matrix_is_a_gemm_of_outputs_by_inputs():
    graph = OnnxGraph()
    model = graph.model(graph.node("MatMul", graph.input("x", 2, 3), graph.weights(3, 4)))
    apply(normalise_gemms, model)
    node = node_of(model, "Gemm")
    assert shape_of(node.inputs[1]) == (4, 3)
    assert is_normal_gemm(node)


@pytest.mark.parametrize("transpose", [0, 1])
@pytest.mark.parametrize("bias", [(), (1,), (4,), (1, 4)])
def test_every_gemm_gets_the_normal_form(transpose, bias):
    graph = OnnxGraph()
    weights = graph.weights(4, 3) if transpose else graph.weights(3, 4)
    addend = graph.constant(np.random.default_rng(0).normal(size=bias))
    source = graph.input("x", 2, 3)
    model = graph.model(graph.node("Gemm", source, weights, addend, transB=transpose, alpha=0.5, beta=-2.0))
    apply(normalise_gemms, model)
    node = node_of(model, "Gemm")
    assert is_normal_gemm(node)
    assert (shape_of(node.inputs[1]), shape_of(node.inputs[2])) == ((4, 3), (4,))


def test_a_transposed_input_is_transposed_by_a_node():
    graph = OnnxGraph()
    model = graph.model(graph.node("Gemm", graph.input("x", 3, 2), graph.weights(3, 4), transA=1))
    apply(normalise_gemms, model)
    assert operators(model) == ["Transpose", "Gemm"]


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_an_addend_that_differs_from_row_to_row_is_added_by_a_node(beta):
    graph = OnnxGraph()
    addend = graph.constant(np.random.default_rng(0).normal(size=(2, 4)))
    model = graph.model(graph.node("Gemm", graph.input("x", 2, 3), graph.weights(3, 4), addend, beta=beta))
    apply(normalise_gemms, model)
    assert [name for name in operators(model) if name != "Mul"] == ["Gemm", "Add"]


def test_an_addend_that_comes_with_the_data_is_added_by_a_node():
    graph = OnnxGraph()
    source, addend = graph.input("x", 2, 3), graph.input("c", 1, 4)
    model = graph.model(graph.node("Gemm", source, graph.weights(3, 4), addend))
    apply(normalise_gemms, model)
    assert operators(model) == ["Gemm", "Add"]


def test_products_of_more_axes_or_of_two_activations_stay():
    graph = OnnxGraph()
    source = graph.input("x", 2, 3, 3)
    model = graph.model(graph.node("MatMul", graph.node("MatMul", source, source), graph.weights(3, 4)))
    assert not apply(normalise_gemms, model)


def test_nothing_but_the_weights_changes_in_value():
    graph = OnnxGraph()
    weights = graph.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    model = graph.model(graph.node("MatMul", graph.input("x", 1, 2), weights))
    apply(normalise_gemms, model)
    np.testing.assert_array_equal(constant(node_of(model, "Gemm").inputs[1]), [[1, 4], [2, 5], [3, 6]])
