from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant, integer
from edgefleet_compiler.passes.quantised_constants import store_quantised_constants
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


def test_a_constant_that_is_quantised_is_stored_rounded_half_to_even_and_saturated():
    graph = OnnxGraph()
    pair = graph.pair(graph.constant([[0.25, 0.75, 99.0], [-0.25, -99.0, 0.0]]), 0.5, 1)
    model = graph.model(graph.node("Add", graph.input("x", 2, 3), pair))
    apply(store_quantised_constants, model)
    assert operators(model) == ["DequantizeLinear", "Add"]
    np.testing.assert_array_equal(constant(node_of(model, "DequantizeLinear").inputs[0]), [[1, 3, 127], [1, -128, 1]])


def test_a_transposed_constant_takes_its_channels_along():
    graph = OnnxGraph()
    stored = graph.stored(np.arange(6, dtype=np.int8).reshape(2, 3), [0.5, 0.25], axis=0)
    turned = graph.node("Transpose", stored, perm=[1, 0])
    model = graph.model(graph.node("MatMul", graph.input("x", 4, 3), turned))
    apply(store_quantised_constants, model)
    node = node_of(model, "MatMul").inputs[1].producer()
    assert node is not None
    assert integer(node, "axis", 1) == 1
    np.testing.assert_array_equal(constant(node.inputs[0]), [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize(("scale", "folded"), [(0.5, True), ([0.5, 0.25], False)])
def test_a_reshaped_constant_is_reshaped_where_it_has_one_scale(scale, folded):
    graph = OnnxGraph()
    stored = graph.stored(np.arange(6, dtype=np.int8).reshape(2, 3), scale, axis=0)
    model = graph.model(graph.node("Add", graph.input("x", 3, 2), graph.reshape(stored, 3, 2)))
    apply(store_quantised_constants, model)
    assert ("Reshape" not in operators(model)) == folded


def test_what_a_pad_fills_with_is_stored_as_a_real():
    graph = OnnxGraph()
    filling = graph.stored(np.array(4, np.int8), 0.5)
    pads = graph.constant([0, 1, 0, 1], np.int64)
    model = graph.model(graph.node("Pad", graph.input("x", 2, 3), pads, filling))
    apply(store_quantised_constants, model)
    assert operators(model) == ["Pad"]
    assert constant(node_of(model, "Pad").inputs[2]) == 2.0
