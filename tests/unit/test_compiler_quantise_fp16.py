from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.session import Session, serialise
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.fp16 import fp16_weights
from support.exports import random_inputs, run_hub
from support.onnx_graphs import OnnxGraph


def network():
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 8, 8), (3, 40), (3, 3)))
    model = graph.model(graph.gemm(graph.node("Flatten", graph.node("GlobalAveragePool", value)), 40, 5))
    simplify(model)
    return model


def test_weights_take_half_the_bytes_and_give_nearly_the_same():
    model = network()
    narrow = fp16_weights(model)
    inputs = random_inputs(model)
    (expected,), (seen,) = run_hub(model, inputs), run_hub(narrow, inputs)
    np.testing.assert_allclose(seen, expected, atol=2**-10 * np.abs(expected).max() * 4)
    assert len(serialise(narrow)) < 0.65 * len(serialise(model))
    assert Session(narrow).run({"x": inputs[0]})


def test_each_narrow_constant_is_widened_by_a_cast():
    narrow = fp16_weights(network())
    for node in narrow.graph:
        if node.op_type == "Conv":
            for value in node.inputs[1:]:
                cast = value.producer()
                assert cast.op_type == "Cast"
                assert constant(cast.inputs[0]).dtype == np.float16


@pytest.mark.parametrize("weights", [np.full((2, 1, 3, 3), 0.1), np.full((8, 1, 3, 3), 1e5)])
def test_few_elements_and_large_ones_stay_as_they_are(weights):
    graph = OnnxGraph()
    value = graph.node("Conv", graph.input("x", 1, 1, 5, 5), graph.constant(weights))
    model = graph.model(value)
    narrow = fp16_weights(model)
    assert [node.op_type for node in narrow.graph] == ["Conv"]


def test_a_constant_that_two_layers_use_is_stored_once():
    graph = OnnxGraph()
    shared = graph.weights(8, 8, 3, 3)
    value = graph.input("x", 1, 8, 9, 9)
    for _ in range(2):
        value = graph.node("Conv", value, shared)
    narrow = fp16_weights(graph.model(value))
    assert [node.op_type for node in narrow.graph] == ["Cast", "Conv", "Conv"]
    assert len(narrow.graph.initializers) == 1
