"""Normalisations in TFLite, whose runtimes have none of them but one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_compiler.passes import simplify
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, kinds, run_tflite
from support.onnx_graphs import OnnxGraph


@pytest.mark.parametrize(
    ("shape", "axis"), [((2, 3, 8), -1), ((1, 6, 8), 1), ((2, 3, 4, 5), 2), ((3, 7), 0), ((1, 4, 4, 6), -1)]
)
def test_layers_are_normalised_over_the_last_axes(shape, axis):
    graph = OnnxGraph()
    extent = shape[axis % len(shape) :]
    operands = [graph.input("x", *shape), graph.weights(*extent), graph.weights(*extent)]
    model = graph.model(graph.node("LayerNormalization", *operands, axis=axis, epsilon=1e-3))
    assert_export_agrees(model)


def test_means_and_inverse_deviations_of_a_layer_are_outputs_too():
    graph = OnnxGraph()
    name = graph.node("LayerNormalization", graph.input("x", 2, 3, 8), graph.weights(8), outputs=3)
    assert_export_agrees(graph.model(name, f"{name}_1", f"{name}_2"))


@pytest.mark.parametrize("spatial", [(7,), (5, 6), (2, 3, 4)])
def test_images_are_normalised_channel_by_channel(spatial):
    graph = OnnxGraph()
    operands = [graph.input("x", 2, 6, *spatial), graph.weights(6), graph.weights(6)]
    assert_export_agrees(graph.model(graph.node("InstanceNormalization", *operands)))


def group_normalisations(shape: tuple[int, ...], count: int = 1) -> ir.Model:
    """Imported: ``onnx`` infers no shape for GroupNormalization, which the importer makes up for."""
    groups, channels = 3, shape[1]
    numbers = np.random.default_rng(0).normal(size=channels).astype(np.float32)
    constants = [numpy_helper.from_array(numbers, name) for name in ("scale", "bias")]
    nodes = [
        helper.make_node("GroupNormalization", [f"x{index}", "scale", "bias"], [f"x{index + 1}"], num_groups=groups)
        for index in range(count)
    ]
    ends = [
        helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info(f"x{count}", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], constants)
    source = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model = import_onnx(source.SerializeToString(), folder=Path(), input_shapes={})
    simplify(model)
    return model


@pytest.mark.parametrize("spatial", [(7,), (5, 6), (2, 3, 4)])
def test_images_are_normalised_group_by_group(spatial):
    assert_export_agrees(group_normalisations((2, 6, *spatial)))


def test_many_groups_in_a_row_get_their_shapes():
    assert_export_agrees(group_normalisations((1, 6, 4, 5), count=20))


@pytest.mark.parametrize("operator", ["InstanceNormalization", "LRN"])
def test_images_stay_channels_last_between_convolutions(operator):
    graph = OnnxGraph()
    value = graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3))
    if operator == "LRN":
        value = graph.node("LRN", value, size=3)
    else:
        value = graph.node(operator, value, graph.weights(4), graph.weights(4))
    lowered = assert_export_agrees(graph.model(graph.conv(value, (4, 2), (3, 3))))
    assert "TRANSPOSE" not in kinds(lowered)[1:-1]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_responses_are_normalised_across_neighbouring_channels(size):
    graph = OnnxGraph()
    attributes = {"alpha": 0.2, "beta": 0.6, "bias": 1.5}
    assert_export_agrees(graph.model(graph.node("LRN", graph.input("x", 1, 7, 4, 5), size=size, **attributes)))


def test_an_even_window_of_channels_is_refused():
    graph = OnnxGraph()
    with pytest.raises(OperatorUnsupported, match="even"):
        export_tflite(
            graph.model(graph.node("LRN", graph.input("x", 1, 7, 4, 5), size=4)), io="float", io_layout="source"
        )


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("exponent", [1, 2])
def test_vectors_are_divided_by_their_length(axis, exponent):
    graph = OnnxGraph()
    assert_export_agrees(graph.model(graph.node("LpNormalization", graph.input("x", 3, 4, 5), axis=axis, p=exponent)))


@pytest.mark.parametrize("exponent", [1, 2])
def test_a_vector_of_zeros_stays_zero(exponent):
    graph = OnnxGraph()
    model = graph.model(graph.node("LpNormalization", graph.input("x", 1, 5), p=exponent))
    data, _ = export_tflite(model, io="float", io_layout="source")
    for delegates in (True, False):
        assert not run_tflite(data, [np.zeros((1, 5), np.float32)], delegates=delegates)[0].any()


@pytest.mark.parametrize("exponent", [1, 2, 3])
@pytest.mark.parametrize("attributes", [{}, {"strides": [2, 1], "pads": [1, 0, 1, 2]}, {"dilations": [2, 1]}])
def test_windows_are_pooled_to_their_norm(exponent, attributes):
    graph = OnnxGraph()
    name = graph.node("LpPool", graph.input("x", 1, 3, 8, 7), kernel_shape=[3, 3], p=exponent, **attributes)
    model = graph.model(name)
    simplify(model)
    assert_export_agrees(model)


@pytest.mark.parametrize("exponent", [1, 2, 3])
def test_channels_are_pooled_to_their_norm(exponent):
    graph = OnnxGraph()
    assert_export_agrees(graph.model(graph.node("GlobalLpPool", graph.input("x", 1, 3, 4, 5), p=exponent)))
