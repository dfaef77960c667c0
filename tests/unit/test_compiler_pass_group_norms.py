"""GroupNormalization is recognised in what exporters write for it, and written out so for onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.group_norms import recognise_group_norms
from support.exports import assert_export_agrees, kinds, random_inputs, run_hub
from support.onnx_graphs import OnnxGraph


def grouped(channels: int = 8, groups: int = 4):
    """As PyTorch's exporter writes ``GroupNorm``, between two convolutions."""
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 8, 8), (3, channels), (3, 3))
    parted = graph.reshape(image, 0, groups, -1)
    value = graph.node(
        "InstanceNormalization", parted, graph.constant(np.ones(groups)), graph.constant(np.zeros(groups))
    )
    value = graph.reshape(value, 1, channels, 6, 6)
    value = graph.node("Mul", value, graph.weights(channels, 1, 1))
    value = graph.node("Add", value, graph.weights(channels, 1, 1))
    return graph.model(graph.conv(graph.node("Relu", value), (channels, 4), (1, 1)))


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_it_computes_the_same(groups):
    model = grouped(groups=groups)
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    assert recognise_group_norms(model)
    np.testing.assert_allclose(run_hub(model, inputs)[0], expected[0], atol=1e-5)


def test_images_stay_channels_last_around_it():
    model = grouped()
    simplify(model)
    assert "GroupNormalization" in [node.op_type for node in model.graph]
    assert "TRANSPOSE" not in kinds(assert_export_agrees(model))[1:-1]


@pytest.mark.parametrize("opset", [13, 21])
def test_onnxruntime_gets_instance_normalisations_in_any_opset(opset):
    model = grouped()
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    simplify(model)
    data = export_onnx(model, max_opset=opset, io="float", io_layout="source")
    operators = [node.op_type for node in onnx.load_model_from_string(data).graph.node]
    assert "GroupNormalization" not in operators
    assert "InstanceNormalization" in operators
    got = Session(data).run({"x": inputs[0]})
    np.testing.assert_allclose(next(iter(got.values())), expected[0], atol=1e-5)


def test_other_reshapes_around_a_normalisation_stay():
    graph = OnnxGraph()
    rows = graph.reshape(graph.input("x", 1, 6, 4, 4), 1, 3, 32)
    value = graph.node("InstanceNormalization", rows, graph.weights(3), graph.weights(3))
    assert not recognise_group_norms(graph.model(graph.reshape(value, 1, 96)))
