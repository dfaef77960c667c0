from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.hub.graph import constant, name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.lone_softmax import replace_lone_softmax
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


@pytest.mark.parametrize(("shape", "axis"), [((1, 1), 1), ((1, 1, 4, 4), 1), ((2, 3, 1), -1)])
def test_a_softmax_over_one_element_is_one(shape, axis):
    graph = OnnxGraph()
    softmax = graph.node("Softmax", graph.input("x", *shape), axis=axis)
    model = graph.model(graph.node("Mul", softmax, graph.input("factor", *shape)))
    assert dict(apply(replace_lone_softmax, model)) == {"replaced {} Softmax of one element": 1}
    np.testing.assert_array_equal(constant(node_of(model, "Mul").inputs[0]), np.ones(shape))


def test_as_an_output_it_becomes_a_constant_node():
    graph = OnnxGraph()
    model = graph.model(graph.node("Softmax", graph.input("x", 1, 1)))
    apply(replace_lone_softmax, model)
    assert operators(model) == ["Constant"]


def test_longer_axes_stay():
    graph = OnnxGraph()
    model = graph.model(graph.node("Softmax", graph.input("x", 1, 2), axis=1))
    assert not apply(replace_lone_softmax, model)


def test_quantised_it_would_be_zero_in_onnxruntime():
    graph = OnnxGraph()
    softmax = graph.node("Softmax", graph.conv(graph.input("x", 1, 1, 6, 6), (1, 1), (3, 3)), axis=1)
    model = graph.model(
        graph.node("Conv", graph.node("Add", softmax, graph.input("y", 1, 1, 4, 4)), graph.weights(1, 1, 2, 2))
    )
    random = np.random.default_rng(1)
    cases = [
        {name_of(value): random.normal(size=value.shape.numpy()).astype(np.float32) for value in model.graph.inputs}
        for _ in range(8)
    ]
    (expected,) = Session(model).run(cases[0]).values()
    simplify(model)
    ranges = calibrate(model, cases, lambda _: None)
    quantised = quantise(model, ranges, Settings())
    artifact = export_onnx(quantised, max_opset=21, io="float", io_layout="source")
    (seen,) = Session(artifact).run(cases[0]).values()
    np.testing.assert_allclose(seen, expected, atol=0.1)
