"""Where pairs stand and what shares parameters, graph by graph."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.parameters import parameters
from edgefleet_compiler.quantise.placement import Own, place
from support.onnx_graphs import OnnxGraph


def placement_of(graph, *outputs):
    """The groups as names of their values, and the placement; in hub normal form."""
    model = graph.model(*outputs)
    simplify(model)
    placement = place(model.graph)
    return [[value.name for value in group.values] for group in placement.groups], placement


def conv(graph, source, channels=(3, 4), name="", **attributes):
    operands = [graph.weights(channels[1], channels[0], 1, 1), graph.constant(np.ones(channels[1]))]
    return graph.node("Conv", source, *operands, name=name, **attributes)


def test_one_pair_stands_behind_the_fused_activation():
    graph = OnnxGraph()
    value = graph.node("Relu", conv(graph, graph.input("x", 1, 3, 5, 5), name="inner"), name="outer")
    value = conv(graph, value, (4, 2), name="second")
    groups, _ = placement_of(graph, graph.node("Clip", value, graph.constant(0.0), graph.constant(6.0), name="relu6"))
    assert groups == [["x"], ["outer"], ["relu6"]]


def test_an_activation_that_shuts_out_zero_is_not_fused():
    graph = OnnxGraph()
    value = conv(graph, graph.input("x", 1, 3, 5, 5), name="inner")
    groups, _ = placement_of(graph, graph.node("Clip", value, graph.constant(1.0), graph.constant(2.0), name="outer"))
    assert groups == [["x"], ["inner"], ["outer"]]


def test_a_convolution_that_others_read_has_a_pair_of_its_own():
    graph = OnnxGraph()
    value = conv(graph, graph.input("x", 1, 3, 5, 5), name="inner")
    groups, _ = placement_of(graph, graph.node("Add", graph.node("Relu", value, name="outer"), value, name="sum"))
    assert groups == [["x"], ["inner"], ["outer"], ["sum"]]


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "Reshape", "Pad", "Slice"])
def test_what_moves_or_pools_elements_shares_their_parameters(operator):
    graph = OnnxGraph()
    source = conv(graph, graph.input("x", 1, 3, 6, 6), name="before")
    integers = {"Reshape": [[1, 144]], "Pad": [[0, 0, 1, 0, 0, 0, 0, 0]], "Slice": [[1], [4], [2]]}.get(operator, [])
    attributes = {"kernel_shape": [2, 2]} if "Pool" in operator else {}
    moved = graph.node(
        operator, source, *(graph.constant(array, np.int64) for array in integers), name="after", **attributes
    )
    groups, placement = placement_of(graph, graph.node("Mul", moved, moved, name="product"))
    assert groups == [["x"], ["before", "after"], ["product"]]
    assert [value.name for value in placement.observed()] == ["x", "before", "product"]


def test_an_input_and_its_transpose_share_parameters():
    graph = OnnxGraph()
    image = graph.node("Transpose", graph.input("x", 1, 5, 5, 3), perm=[0, 3, 1, 2], name="turned")
    groups, _ = placement_of(graph, graph.node("GlobalAveragePool", conv(graph, image, name="a"), name="b"))
    assert [len(group) for group in groups] == [2, 1, 1]
    assert groups[0][0] == "x"


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "ReduceMean"])
def test_averages_over_the_image_have_parameters_of_their_own(operator):
    graph = OnnxGraph()
    axes = [graph.constant([2, 3], np.int64)] if operator == "ReduceMean" else []
    groups, _ = placement_of(
        graph, graph.node(operator, conv(graph, graph.input("x", 1, 3, 6, 6), name="a"), *axes, name="b")
    )
    assert groups == [["x"], ["a"], ["b"]]


def test_a_pad_with_another_value_widens_the_range():
    graph = OnnxGraph()
    source = conv(graph, graph.input("x", 1, 3, 6, 6), name="before")
    pads = graph.constant([0, 0, 1, 0, 0, 0, 0, 0], np.int64)
    padded = graph.node("Pad", source, pads, graph.constant(9.0), name="after")
    _, placement = placement_of(graph, conv(graph, padded, (4, 2), name="last"))
    assert [value.name for value in placement.observed()] == ["x", "before", "after", "last"]


def test_a_concat_joins_all_that_it_reads():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3, 5, 5)
    parts = [conv(graph, source, name=name) for name in ("a", "b")]
    pooled = graph.node("MaxPool", parts[1], kernel_shape=[1, 1], name="c")
    joined = graph.node("Concat", parts[0], pooled, graph.constant(np.full((1, 1, 5, 5), 40.0)), axis=1, name="d")
    groups, placement = placement_of(graph, conv(graph, joined, (9, 2), name="e"))
    assert groups == [["x"], ["a", "b", "c", "d"], ["e"]]
    assert placement.groups[1].constant_range() == (40.0, 40.0)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("Softmax", parameters(1 / 256, -128)), ("Sigmoid", parameters(1 / 256, -128)), ("Tanh", parameters(1 / 128, 0))],
)
def test_prescribed_parameters_hold_for_all_that_only_repeats_them(operator, expected):
    graph = OnnxGraph()
    value = graph.node(operator, conv(graph, graph.input("x", 1, 3, 5, 5)), name="gate")
    groups, placement = placement_of(graph, graph.reshape(value, 1, 100))
    assert groups[-1][0] == "gate"
    assert placement.groups[-1].fixed == expected
    assert "gate" not in {value.name for value in placement.observed()}


def test_a_prescribed_value_among_others_keeps_its_own_pair():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3, 5, 5)
    gate = graph.node("Sigmoid", conv(graph, source, name="a"), name="gate")
    _, placement = placement_of(graph, graph.node("Concat", gate, conv(graph, source, name="b"), axis=1, name="joined"))
    assert {value.name: own for value, own in placement.own.items()} == {"gate": Own("int8", parameters(1 / 256, -128))}
    assert placement.groups[-1].fixed is None


def test_operators_without_an_int8_form_stay_float_between_pairs():
    graph = OnnxGraph()
    first = conv(graph, graph.input("x", 1, 3, 5, 5), name="a")
    inside = graph.node("Div", graph.node("Div", first, first, name="float"), first, name="bridge")
    groups, placement = placement_of(graph, conv(graph, inside, (4, 2), name="b"))
    assert groups == [["x"], ["a"], ["bridge"], ["b"]]
    assert [node.op_type for node in placement.nodes] == ["Conv", "Conv"]


def test_elements_moved_between_float_operators_have_no_pairs():
    graph = OnnxGraph()
    value = graph.node("Max", graph.input("x", 2, 3), graph.input("z", 2, 3))
    moved = graph.reshape(value, 3, 2)
    groups, placement = placement_of(graph, graph.node("Min", moved, graph.input("w", 3, 2)))
    assert groups == []
    assert placement.nodes == []


def test_average_pools_with_dilations_stay_float():
    graph = OnnxGraph()
    source = conv(graph, graph.input("x", 1, 3, 6, 6), name="a")
    pooled = graph.node("AveragePool", source, kernel_shape=[2, 2], dilations=[2, 2], name="pool")
    groups, _ = placement_of(graph, pooled)
    assert groups == [["x"], ["a"]]
