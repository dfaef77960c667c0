from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.lower import lower
from edgefleet_compiler.lower.minimum_cut import Network
from support.exports import assert_export_agrees, kinds, random_inputs, run_hub, run_tflite
from support.onnx_graphs import OnnxGraph


@pytest.mark.parametrize("seed", range(40))
def test_a_minimum_cut_costs_no_more_than_any_other(seed):
    random = np.random.default_rng(seed)
    vertices = ["source", *range(6), "sink"]
    edges = [(tail, head, int(random.integers(0, 9))) for tail, head in product(vertices, repeat=2) if tail != head]
    edges = [edge for edge in edges if random.random() < 0.4]
    network = Network("source", "sink")
    for edge in edges:
        network.connect(*edge)

    def cost(side):
        return sum(price for tail, head, price in edges if tail in side and head not in side)

    sides = [{"source", *(v for v, chosen in enumerate(choice) if chosen)} for choice in product((0, 1), repeat=6)]
    ours = network.source_side()
    assert cost(ours) == min(map(cost, sides))
    assert len(ours) == min(len(side) for side in sides if cost(side) == cost(ours))


def test_a_network_between_images_has_one_transposition_at_each_end_and_none_inside():
    graph = OnnxGraph()
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 8, 8), (3, 4), (3, 3), pads=[1] * 4))
    second = graph.node("Add", first, graph.conv(first, (4, 4), (3, 3), pads=[1] * 4))
    joined = graph.node("Concat", second, first, axis=1)
    lowered = assert_export_agrees(graph.model(graph.conv(joined, (8, 2), (1, 1))))
    assert kinds(lowered) == ["TRANSPOSE", "CONV_2D", "CONV_2D", "ADD", "CONCATENATION", "CONV_2D", "TRANSPOSE"]


def test_operators_that_take_any_layout_are_not_parted_from_the_convolutions_by_a_transposition():
    graph = OnnxGraph()
    first, second = graph.input("x", 1, 3, 8, 8), graph.input("y", 1, 3, 8, 8)
    total = graph.node("Sigmoid", graph.node("Add", first, second))
    lowered = assert_export_agrees(graph.model(graph.conv(total, (3, 4), (3, 3))))
    assert kinds(lowered) == ["TRANSPOSE", "TRANSPOSE", "ADD", "LOGISTIC", "CONV_2D", "TRANSPOSE"]


def test_a_network_without_convolutions_is_not_transposed():
    graph = OnnxGraph()
    total = graph.node("Add", graph.input("x", 1, 3, 8, 8), graph.constant(np.ones((3, 1, 1))))
    assert kinds(assert_export_agrees(graph.model(graph.node("Relu", total)))) == ["ADD"]


def test_images_that_a_source_keeps_channels_last_are_not_transposed():
    graph = OnnxGraph()
    image = graph.node("Transpose", graph.input("x", 1, 8, 7, 3), perm=[0, 3, 1, 2])
    features = graph.conv(image, (3, 4), (3, 3))
    lowered = assert_export_agrees(graph.model(graph.node("Transpose", features, perm=[0, 2, 3, 1])))
    assert kinds(lowered) == ["CONV_2D"]


def test_the_axis_order_of_inputs_and_outputs_is_the_sources():
    graph = OnnxGraph()
    lowered = lower(
        graph.model(graph.conv(graph.input("x", 1, 3, 8, 7), (3, 4), (3, 3))), io="float", io_layout="source"
    )
    assert lowered.tensors[lowered.inputs[0]].shape == (1, 3, 8, 7)
    assert lowered.tensors[lowered.outputs[0]].shape == (1, 4, 6, 5)
    assert lowered.stored_axes == {}


def test_native_layout_takes_and_gives_images_channels_last_without_any_transposition():
    graph = OnnxGraph()
    convolved = graph.conv(graph.node("Relu", graph.input("x", 1, 3, 8, 7)), (3, 4), (3, 3))
    model = graph.model(convolved, graph.node("GlobalAveragePool", convolved))
    data, lowered = export_tflite(model, io="float", io_layout="native")
    assert kinds(lowered) == ["RELU", "CONV_2D", "MEAN"]
    assert lowered.tensors["x"].shape == (1, 8, 7, 3)
    assert lowered.stored_axes == dict.fromkeys([*lowered.inputs, *lowered.outputs], (0, 2, 3, 1))
    inputs = random_inputs(model)
    ours = run_tflite(data, [image.transpose(0, 2, 3, 1) for image in inputs])
    for given, expected in zip(ours, run_hub(model, inputs), strict=True):
        np.testing.assert_allclose(given.transpose(0, 3, 1, 2), expected, atol=1e-5)


def test_native_layout_leaves_inputs_alone_that_no_convolution_reads():
    graph = OnnxGraph()
    model = graph.model(graph.gemm(graph.reshape(graph.input("x", 1, 3, 4, 5), 1, 60), 60, 7))
    lowered = lower(model, io="float", io_layout="native")
    assert lowered.stored_axes == {}


@pytest.mark.parametrize("between", [[], ["Relu"], ["Sigmoid", "Mul"]])
def test_an_image_that_is_flattened_into_a_fully_connected_layer_permutes_its_weights(between):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 8, 7), (3, 4), (3, 3))
    rows = graph.reshape(image, 1, 120)
    for operator in between:
        operands = [graph.constant(graph.random.normal(size=120))] if operator == "Mul" else []
        rows = graph.node(operator, rows, *operands)
    lowered = assert_export_agrees(graph.model(graph.gemm(rows, 120, 5)))
    assert kinds(lowered).count("TRANSPOSE") == 1


def test_rows_that_a_fully_connected_layer_gives_and_that_become_an_image_permute_its_weights():
    graph = OnnxGraph()
    rows = graph.node("Relu", graph.gemm(graph.input("x", 1, 9), 9, 4 * 5 * 6))
    image = graph.conv(graph.reshape(rows, 1, 4, 5, 6), (4, 3), (3, 3))
    lowered = assert_export_agrees(graph.model(graph.node("GlobalMaxPool", image)))
    assert "TRANSPOSE" not in kinds(lowered)


def test_a_flattened_image_that_two_layers_read_in_different_ways_keeps_its_meaning():
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 8, 7), (3, 4), (3, 3))
    rows = graph.reshape(image, 1, 120)
    softmax = graph.node("Softmax", rows, axis=1)
    other = graph.conv(graph.reshape(rows, 1, 2, 10, 6), (2, 3), (3, 3))
    assert_export_agrees(graph.model(graph.gemm(rows, 120, 5), softmax, other))


def test_one_transposition_serves_all_who_need_it():
    graph = OnnxGraph()
    image = graph.input("x", 1, 3, 8, 7)
    lowered = assert_export_agrees(
        graph.model(*(graph.node("GlobalMaxPool", graph.conv(image, (3, 4), (3, 3))) for _ in range(3)))
    )
    assert kinds(lowered).count("TRANSPOSE") == 1


def test_an_input_that_is_an_output_and_a_value_that_is_two_outputs_are_copied():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3)
    relu = graph.node("Relu", source)
    model = graph.model(relu, graph.node("Clip", source), graph.node("Clip", relu))
    lowered = assert_export_agrees(model)
    assert len(set(lowered.outputs)) == 3
