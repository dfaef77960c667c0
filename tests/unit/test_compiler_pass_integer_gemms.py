from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant, integer
from edgefleet_compiler.passes.gemms import is_normal_gemm
from edgefleet_compiler.passes.integer_gemms import normalise_integer_gemms
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators

STORED = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)


@pytest.mark.parametrize("operator", ["MatMul", "Gemm"])
@pytest.mark.parametrize("scale", [0.5, [0.5, 0.25, 0.125, 1.0]])
def test_products_with_stored_weights_get_the_normal_form_and_stay_stored(operator, scale):
    graph = OnnxGraph()
    weights = graph.stored(STORED, scale, axis=1)
    model = graph.model(graph.node(operator, graph.input("x", 2, 3), weights))
    apply(normalise_integer_gemms, model)
    node = node_of(model, "Gemm")
    assert is_normal_gemm(node)
    dequantise = node.inputs[1].producer()
    np.testing.assert_array_equal(constant(dequantise.inputs[0]), STORED.T)
    assert np.ndim(scale) == 0 or integer(dequantise, "axis", 1) == 0


def test_a_stored_bias_comes_along():
    graph = OnnxGraph()
    weights, bias = graph.stored(STORED, 0.5), graph.stored(np.arange(4, dtype=np.int32), 0.05)
    model = graph.model(graph.node("Gemm", graph.input("x", 2, 3), weights, bias))
    apply(normalise_integer_gemms, model)
    assert is_normal_gemm(node_of(model, "Gemm"))


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}])
def test_products_that_scale_stay_as_they_are(attributes):
    graph = OnnxGraph()
    weights, bias = graph.stored(STORED, 0.5), graph.stored(np.arange(4, dtype=np.int32), 0.05)
    model = graph.model(graph.node("Gemm", graph.input("x", 2, 3), weights, bias, **attributes))
    apply(normalise_integer_gemms, model)
    assert not is_normal_gemm(node_of(model, "Gemm"))


def test_stored_weights_of_a_flattened_image_follow_its_layout():
    from edgefleet_compiler.passes import simplify
    from support.exports import random_inputs, run_hub

    graph = OnnxGraph()
    image = graph.node("Transpose", graph.input("x", 1, 4, 4, 3), perm=[0, 3, 1, 2])
    features = graph.pair(graph.conv(image, (3, 5), (3, 3)), 0.05, 3)
    turned = graph.node("Transpose", features, perm=[0, 2, 3, 1])
    flat = graph.pair(graph.reshape(turned, 1, 20), 0.05, 3)
    weights = graph.stored(graph.random.integers(-99, 99, (6, 20)).astype(np.int8), np.linspace(0.01, 0.02, 6))
    model = graph.model(graph.node("Gemm", flat, weights, transB=1))
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    simplify(model)
    assert operators(model).count("Transpose") == 1  # at the input
    np.testing.assert_allclose(run_hub(model, inputs)[0], expected[0], atol=1e-5)
