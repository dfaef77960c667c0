"""Simplification keeps what a network computes, and leaves the normal form."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings

from edgefleet_compiler.hub.graph import activations, constant, has_static_shape, integers
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from support.networks import networks

pytestmark = pytest.mark.property
GONE = {"Constant", "Identity", "Dropout", "BatchNormalization", "Flatten", "Squeeze", "Unsqueeze", "Div"}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks())
def test_simplified_networks_compute_the_same(proto: onnx.ModelProto) -> None:
    model = ir.from_proto(proto)
    images = np.random.default_rng(0).normal(size=(3, *model.graph.inputs[0].shape.numpy())).astype(np.float32)
    original = Session(proto.SerializeToString(), optimise=False)
    expected = [original.run({"image": image}) for image in images]
    borders = [(value.name, value.shape, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)]

    simplify(model)

    assert [(value.name, value.shape, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)] == borders
    simplified = Session(model, optimise=False)
    for image, results in zip(images, expected, strict=True):
        for name, values in simplified.run({"image": image}).items():
            scale = max(float(np.abs(results[name]).max()), 1e-3)
            np.testing.assert_allclose(values / scale, results[name] / scale, rtol=0, atol=1e-5)
    assert_normal_form(model.graph)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks())
def test_simplifying_twice_changes_nothing(proto: onnx.ModelProto) -> None:
    model = ir.from_proto(proto)
    simplify(model)
    assert [record.effect for record in simplify(model)] == ["no change"] * len(simplify(model))


def assert_normal_form(graph: ir.Graph) -> None:
    assert not GONE & {node.op_type for node in graph}
    names = [node.name for node in graph]
    assert len(names) == len(set(names))
    assert "" not in names
    assert all(has_static_shape(value) and value.dtype is not None for value in activations(graph))
    for node in graph:
        if node.op_type == "Transpose":
            assert node.inputs[0].is_graph_input() or node.outputs[0].is_graph_output(), f"{node.name} stands inside"
        if node.op_type in ("Conv", "MaxPool", "AveragePool"):
            assert "auto_pad" not in node.attributes
            assert all(integers(node, name) for name in ("kernel_shape", "strides", "pads"))
        if node.op_type == "Gemm":
            assert set(node.attributes) == {"transB"}
        for index in {"Clip": (1, 2), "Pad": (1, 2), "Reshape": (1,), "Slice": (1, 2, 3, 4)}.get(node.op_type, ()):
            assert constant(node.inputs[index]) is not None
