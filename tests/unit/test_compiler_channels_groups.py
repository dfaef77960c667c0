from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.compress.channels.cut import cut
from edgefleet_compiler.compress.channels.groups import find_groups
from edgefleet_compiler.hub.graph import products
from support.onnx_graphs import OnnxGraph
from support.pruning import assert_cut_computes_what_a_mask_does, hub_of


def groups_of(model):
    return {group.name.removeprefix("node_"): group for group in find_groups(model.graph).groups}


def image(graph, channels=3):
    return graph.input("x", 1, channels, 6, 6)


def head(graph, source, channels):
    """What reads channels in the end; its own output leaves the model."""
    pooled = graph.reshape(graph.node("GlobalAveragePool", source), 1, channels)
    return graph.gemm(pooled, channels, 5)


def test_layers_whose_results_are_added_have_one_group_named_after_the_first():
    graph = OnnxGraph()
    first = graph.node("Relu", graph.conv(image(graph), (3, 8), (1, 1)))
    branch = graph.conv(graph.node("Relu", graph.conv(first, (8, 12), (1, 1))), (12, 8), (1, 1))
    model = hub_of(graph, head(graph, graph.node("Relu", graph.node("Add", first, branch)), 8))
    groups = groups_of(model)
    assert {name: group.channels for name, group in groups.items()} == {"conv_3": 8, "conv_7": 12, "gemm_19": 5}
    assert [reader.node.op_type for reader in groups["conv_3"].readers] == ["Conv", "Gemm"]
    assert_cut_computes_what_a_mask_does(model)


def test_a_depthwise_convolution_has_the_channels_that_it_reads():
    graph = OnnxGraph()
    wide = graph.node("Relu", graph.conv(image(graph), (3, 6), (1, 1)))
    deep = graph.clip(graph.conv(wide, (6, 12), (3, 3), group=6), 0, 6)
    model = hub_of(graph, head(graph, graph.conv(deep, (12, 4), (1, 1)), 4))
    assert [group.channels for group in groups_of(model).values()] == [6, 4, 5]
    smaller = assert_cut_computes_what_a_mask_does(model)
    depthwise = next(node for node in smaller.graph if node.op_type == "Conv" and node.attributes["group"].as_int() > 1)
    assert depthwise.attributes["group"].as_int() == 4


def test_parts_of_a_grouped_convolution_go_whole():
    graph = OnnxGraph()
    wide = graph.conv(image(graph), (3, 12), (1, 1))
    grouped = graph.conv(wide, (12, 24), (3, 3), group=4)
    model = hub_of(graph, head(graph, grouped, 24))
    first, _ = groups_of(model).values()
    assert first.channels == 4
    assert_cut_computes_what_a_mask_does(model)


def test_concatenated_channels_stay_of_the_groups_they_come_from():
    graph = OnnxGraph()
    left, right = (graph.conv("x", (3, channels), (1, 1)) for channels in (4, 7))
    image(graph)
    joined = graph.node("Concat", left, right, axis=1)
    model = hub_of(graph, head(graph, graph.node("Relu", joined), 11))
    assert [group.channels for group in groups_of(model).values()] == [4, 7, 5]
    assert_cut_computes_what_a_mask_does(model)


def test_a_flattened_image_keeps_a_block_for_each_channel():
    graph = OnnxGraph()
    deep = graph.node("MaxPool", graph.conv(image(graph), (3, 5), (1, 1)), kernel_shape=[2, 2], strides=[2, 2])
    model = hub_of(graph, graph.gemm(graph.reshape(deep, 1, 45), 45, 4))
    first, _ = groups_of(model).values()
    assert first.channels == 5
    smaller = assert_cut_computes_what_a_mask_does(model)
    gemm = next(node for node in smaller.graph if node.op_type == "Gemm")
    assert gemm.inputs[1].shape == (4, 27)


def test_constants_of_single_channels_are_cut_with_them():
    graph = OnnxGraph()
    wide = graph.conv(image(graph), (3, 6), (1, 1))
    sloped = graph.node("PRelu", wide, graph.constant(graph.random.uniform(0, 1, (6, 1, 1))))
    scaled = graph.node("Mul", sloped, graph.constant(graph.random.uniform(1, 2, (1, 6, 1, 1))))
    added = graph.node("Add", graph.node("Sigmoid", scaled), graph.constant(0.5))
    pads = graph.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    model = hub_of(graph, head(graph, graph.conv(graph.node("Pad", added, pads), (6, 4), (3, 3)), 4))
    assert_cut_computes_what_a_mask_does(model)


def test_a_gate_has_the_channels_that_it_opens():
    graph = OnnxGraph()
    wide = graph.node("Relu", graph.conv(image(graph), (3, 8), (1, 1)))
    squeezed = graph.node("Relu", graph.conv(graph.node("GlobalAveragePool", wide), (8, 4), (1, 1)))
    gate = graph.node("Sigmoid", graph.conv(squeezed, (4, 8), (1, 1)))
    model = hub_of(graph, head(graph, graph.node("Mul", wide, gate), 8))
    assert [group.channels for group in groups_of(model).values()] == [8, 4, 5]
    assert_cut_computes_what_a_mask_does(model)


def test_split_parts_lose_the_same_places():
    graph = OnnxGraph()
    wide = graph.conv(image(graph), (3, 12), (1, 1))
    left = graph.node("Split", wide, graph.constant([6, 6], np.int64), outputs=2, axis=1)
    joined = graph.node("Mul", graph.node("Tanh", left), graph.node("Sigmoid", f"{left}_1"))
    model = hub_of(graph, head(graph, joined, 6))
    first, _ = groups_of(model).values()
    assert first.channels == 6
    assert_cut_computes_what_a_mask_does(model)


def test_resizes_and_transposed_convolutions_are_cut():
    graph = OnnxGraph()
    wide = graph.node("Relu", graph.conv(image(graph), (3, 6), (1, 1)))
    sizes = graph.constant([1, 6, 12, 12], np.int64)
    larger = graph.node(
        "Resize", wide, "", "", sizes, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    back = graph.node("ConvTranspose", larger, graph.weights(6, 4, 2, 2), strides=[2, 2], kernel_shape=[2, 2])
    model = hub_of(graph, graph.conv(graph.node("Relu", back), (4, 2), (1, 1)))
    assert [group.channels for group in groups_of(model).values()] == [6, 4, 2]
    assert_cut_computes_what_a_mask_does(model)


def test_layers_of_sequences_are_pruned_along_their_last_axis():
    graph = OnnxGraph()
    x = graph.input("x", 1, 7, 10)
    wide = graph.node("Relu", graph.node("MatMul", x, graph.weights(10, 16)))
    shifted = graph.node("Add", wide, graph.constant(graph.random.normal(size=16)))
    model = hub_of(graph, graph.node("MatMul", shifted, graph.weights(16, 3)))
    assert [group.channels for group in groups_of(model).values()] == [16, 3]
    assert_cut_computes_what_a_mask_does(model)


def test_weights_that_two_layers_share_are_cut_for_each():
    graph = OnnxGraph()
    image(graph)
    wide = graph.node("Relu", graph.conv("x", (3, 6), (1, 1)))
    shared = graph.weights(6, 6, 1, 1)
    once = graph.node("Relu", graph.node("Conv", wide, shared, kernel_shape=[1, 1]))
    twice = graph.node("Relu", graph.node("Conv", once, shared, kernel_shape=[1, 1]))
    assert_cut_computes_what_a_mask_does(hub_of(graph, head(graph, twice, 6)))


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (lambda graph, source: source, "they leave the model as its output"),
        (lambda graph, source: graph.node("Softmax", source, axis=1), "takes them all together"),
        (lambda graph, source: graph.node("DepthToSpace", source, blocksize=2), "has no rule for channels"),
        (lambda graph, source: graph.node("Add", source, graph.input("y", 1, 8, 6, 6)), "takes them all together"),
        (
            lambda graph, source: graph.node("ReduceMax", source, graph.constant([1], np.int64)),
            "takes them all together",
        ),
    ],
)
def test_a_group_that_cannot_be_pruned_says_why(tail, reason):
    graph = OnnxGraph()
    model = hub_of(graph, tail(graph, graph.conv(image(graph), (3, 8), (1, 1))))
    (group,) = groups_of(model).values()
    assert group.least == group.channels == 8
    assert reason in group.reason


def test_channels_that_pass_a_layer_by_to_the_output_stay_and_others_of_the_group_may_go():
    graph = OnnxGraph()
    image(graph)
    wide = graph.conv("x", (3, 4), (1, 1))
    joined = graph.node("Concat", wide, graph.conv("x", (3, 4), (1, 1)), axis=1)
    other = graph.conv("x", (3, 8), (1, 1))
    model = hub_of(graph, head(graph, graph.node("Add", joined, other), 8), graph.node("Tanh", wide))
    group = next(iter(groups_of(model).values()))
    assert (group.channels, group.least) == (8, 4)
    assert "they leave the model as its output" in group.reason


def test_nothing_gone_is_the_same_model():
    graph = OnnxGraph()
    model = hub_of(graph, head(graph, graph.conv(image(graph), (3, 8), (1, 1)), 8))
    same = cut(model, [])
    assert products(same.graph) == products(model.graph)
    assert [(node.name, node.op_type) for node in same.graph] == [(node.name, node.op_type) for node in model.graph]
    assert set(same.graph.initializers) == set(model.graph.initializers)
