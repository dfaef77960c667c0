"""Transposes: which are cancelled, where the rest go, and what adapts to the order that is left."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import integer, integers, shape_of
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.gemms import normalise_gemms
from edgefleet_compiler.passes.layout import choose_layouts
from edgefleet_compiler.passes.layout.permutation import compose, identity, inverse, keeps_element_order
from edgefleet_compiler.passes.pads_and_slices import write_out_pads_and_slices
from edgefleet_compiler.passes.reshapes import merge_reshapes
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def to_nchw(graph, value):
    return graph.node("Transpose", value, perm=TO_NCHW)


def to_nhwc(graph, value):
    return graph.node("Transpose", value, perm=TO_NHWC)


def conv_nhwc(graph, value, channels, kernel=(3, 3), **attributes):
    """A convolution as exporters of channels-last frameworks write it."""
    return to_nhwc(graph, graph.conv(to_nchw(graph, value), channels, kernel, **attributes))


def transposes(model):
    return [node for node in model.graph if node.op_type == "Transpose"]


def choose(model):
    """Run the pass behind those that give its operators their normal form."""
    write_out_pads_and_slices(model)
    normalise_gemms(model)
    merge_reshapes(model)
    apply(choose_layouts, model, tolerance=1e-5)


def test_between_convolutions_no_transpose_is_left_and_one_at_each_end():
    graph = OnnxGraph()
    value = graph.input("x", 1, 9, 8, 3)
    for channels in ((3, 4), (4, 4), (4, 2)):
        value = graph.node("Relu", conv_nhwc(graph, value, channels))
    model = graph.model(value)
    choose(model)
    first, last = transposes(model)
    assert first.inputs[0].is_graph_input()
    assert last.outputs[0].is_graph_output()
    assert operators(model) == ["Transpose", "Conv", "Relu", "Conv", "Relu", "Conv", "Relu", "Transpose"]


@pytest.mark.parametrize(
    ("operator", "operands", "attributes", "channels"),
    [
        ("Relu", [], {}, 4),
        ("LeakyRelu", [], {}, 4),
        ("Add", [np.arange(4)], {}, 4),
        ("Mul", [np.arange(24).reshape(6, 4)], {}, 4),
        ("Max", [np.arange(1)], {}, 4),
        ("Softmax", [], {"axis": -1}, 4),
        ("Softmax", [], {"axis": 1}, 4),
        ("Pad", [np.array([0, 1, 2, 0, 0, 0, 1, 0])], {}, 4),
        ("Slice", [np.array([1, 1]), np.array([5, 3]), np.array([1, 3]), np.array([2, 1])], {}, 2),
        ("ReduceMean", [np.array([1])], {"keepdims": 1}, 4),
        ("ReduceMean", [np.array([3])], {"keepdims": 1}, 1),
    ],
)
def test_operators_of_any_order_adapt(operator, operands, attributes, channels):
    graph = OnnxGraph()
    value = conv_nhwc(graph, graph.input("x", 1, 8, 8, 3), (3, 4))
    integral = operator in ("Pad", "Slice", "ReduceMean")
    constants = [graph.constant(array, np.int64 if integral else np.float32) for array in operands]
    value = graph.node(operator, value, *constants, **attributes)
    model = graph.model(conv_nhwc(graph, value, (channels, 2), (1, 1)))
    choose(model)
    assert operators(model) == ["Transpose", "Conv", operator, "Conv", "Transpose"]


def test_branches_meet_in_one_order():
    graph = OnnxGraph()
    value = graph.input("x", 1, 8, 8, 4)
    one = conv_nhwc(graph, value, (4, 4), pads=[1, 1, 1, 1])
    joined = graph.node("Concat", graph.node("Add", one, value), one, axis=3)
    model = graph.model(conv_nhwc(graph, joined, (8, 2)))
    choose(model)
    assert operators(model) == ["Transpose", "Conv", "Add", "Concat", "Conv", "Transpose"]
    assert integer(model.graph[3], "axis", 0) == 1


def test_one_transpose_serves_all_who_read_an_input():
    graph = OnnxGraph()
    source = graph.input("x", 1, 8, 8, 3)
    model = graph.model(*(conv_nhwc(graph, source, (3, channels)) for channels in (2, 3)))
    choose(model)
    assert operators(model).count("Transpose") == 1 + 2


def test_a_flattened_image_permutes_the_weights_behind_it():
    graph = OnnxGraph()
    value = conv_nhwc(graph, graph.input("x", 1, 6, 5, 3), (3, 4))
    flat = graph.node("Relu", graph.reshape(value, 1, 48))
    model = graph.model(graph.gemm(flat, 48, 7))
    choose(model)
    assert operators(model) == ["Transpose", "Conv", "Reshape", "Relu", "Gemm"]


def test_a_flattened_batch_keeps_its_rows():
    graph = OnnxGraph()
    value = conv_nhwc(graph, graph.input("x", 2, 6, 5, 3), (3, 4))
    model = graph.model(graph.gemm(graph.reshape(value, 2, 48), 48, 7))
    choose(model)
    assert operators(model) == ["Transpose", "Conv", "Reshape", "Gemm"]


def test_an_image_made_by_a_fully_connected_layer_permutes_the_weights_before_it():
    graph = OnnxGraph()
    features = graph.node("Relu", graph.gemm(graph.input("x", 1, 7), 7, 60))
    image = graph.reshape(features, 1, 5, 4, 3)
    model = graph.model(graph.node("GlobalAveragePool", graph.conv(to_nchw(graph, image), (3, 2), (3, 3))))
    choose(model)
    assert operators(model) == ["Gemm", "Relu", "Reshape", "Conv", "GlobalAveragePool"]


def test_a_flattened_image_that_others_read_keeps_its_order():
    graph = OnnxGraph()
    value = conv_nhwc(graph, graph.input("x", 1, 6, 5, 3), (3, 4))
    flat = graph.reshape(value, 1, 48)
    model = graph.model(graph.gemm(flat, 48, 7), flat)
    choose(model)
    assert operators(model).count("Transpose") == 2  # before the Reshape, and at the input


def test_means_over_the_image_need_no_transpose_where_the_channels_stay():
    graph = OnnxGraph()
    value = conv_nhwc(graph, graph.input("x", 1, 6, 5, 3), (3, 4))
    means = graph.node("ReduceMean", value, graph.constant([1, 2], np.int64), keepdims=0)
    model = graph.model(graph.gemm(means, 4, 2))
    choose(model)
    assert operators(model) == ["Transpose", "Conv", "ReduceMean", "Gemm"]


def test_a_gate_per_channel_is_reshaped_to_the_order_of_the_image():
    graph = OnnxGraph()
    value = conv_nhwc(graph, graph.input("x", 1, 6, 5, 3), (3, 4))
    gate = graph.reshape(graph.node("Sigmoid", graph.gemm(graph.input("g", 1, 7), 7, 4)), 1, 1, 1, 4)
    model = graph.model(graph.node("GlobalAveragePool", to_nchw(graph, graph.node("Mul", value, gate))))
    choose(model)
    assert len(transposes(model)) == 1
    assert transposes(model)[0].inputs[0].is_graph_input()


def test_a_transpose_of_single_elements_is_no_transpose():
    graph = OnnxGraph()
    pooled = graph.node("GlobalAveragePool", graph.conv(graph.input("x", 1, 3, 6, 5), (3, 4), (3, 3)))
    model = graph.model(graph.reshape(to_nhwc(graph, pooled), 1, 4))
    choose(model)
    assert "Transpose" not in operators(model)


def test_a_transpose_that_is_needed_stays():
    graph = OnnxGraph()
    source = graph.input("x", 2, 3, 3)
    product = graph.node("MatMul", source, graph.node("Transpose", source, perm=[0, 2, 1]))
    model = graph.model(graph.node("Add", source, product))
    choose(model)
    assert operators(model) == ["Transpose", "MatMul", "Add"]


def test_a_sum_of_a_square_and_its_transpose_is_left_alone():
    graph = OnnxGraph()
    source = graph.node("Relu", graph.input("x", 3, 3))
    model = graph.model(graph.node("Add", source, graph.node("Transpose", source, perm=[1, 0])))
    choose(model)
    assert operators(model) == ["Relu", "Transpose", "Add"]


def test_channel_shuffles_keep_their_transpose():
    graph = OnnxGraph()
    value = graph.reshape(graph.conv(graph.input("x", 1, 4, 5, 5), (4, 6), (3, 3)), 1, 2, 3, 3, 3)
    shuffled = graph.reshape(graph.node("Transpose", value, perm=[0, 2, 1, 3, 4]), 1, 6, 3, 3)
    model = graph.model(graph.conv(shuffled, (6, 2), (3, 3)))
    choose(model)
    (shuffle,) = transposes(model)
    assert integers(shuffle, "perm") == (0, 2, 1, 3, 4)


def test_transposes_that_undo_each_other_vanish_between_input_and_output():
    graph = OnnxGraph()
    model = graph.model(to_nchw(graph, to_nhwc(graph, graph.input("x", 1, 2, 3, 4))))
    choose(model)
    assert operators(model) == ["Identity"]


def test_three_dimensional_signals_work_too():
    graph = OnnxGraph()
    value = graph.node("Transpose", graph.input("x", 1, 16, 3), perm=[0, 2, 1])
    value = graph.node("Transpose", graph.conv(value, (3, 4), (3,)), perm=[0, 2, 1])
    value = graph.node("Transpose", graph.node("Relu", value), perm=[0, 2, 1])
    model = graph.model(graph.conv(value, (4, 2), (3,)))
    choose(model)
    assert operators(model) == ["Transpose", "Conv", "Relu", "Conv"]


def test_names_and_shapes_at_the_border_survive_any_rearrangement():
    graph = OnnxGraph()
    value = graph.node("Relu", conv_nhwc(graph, graph.input("x", 1, 9, 8, 3), (3, 4)), name="features")
    model = graph.model(graph.node("Tanh", value, name="image"), value)
    simplify(model)
    assert [(output.name, shape_of(output)) for output in model.graph.outputs] == [
        ("image", (1, 7, 6, 4)), ("features", (1, 7, 6, 4)),
    ]  # fmt: skip


def test_permutations_form_a_group():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(2, 3, 4, 5))
    for _ in range(20):
        first, second = tuple(rng.permutation(4).tolist()), tuple(rng.permutation(4).tolist())
        np.testing.assert_array_equal(array.transpose(first).transpose(second), array.transpose(compose(first, second)))
        assert compose(first, inverse(first)) == compose(inverse(first), first) == identity(4)


@pytest.mark.parametrize(
    ("shape", "permutation", "keeps"),
    [((1, 2, 3, 1), (3, 1, 0, 2), True), ((1, 2, 3, 1), (0, 2, 1, 3), False), ((2, 3), (0, 1), True)],
)
def test_moving_single_axes_keeps_the_order_of_elements(shape, permutation, keeps):
    array = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(array.transpose(permutation).reshape(-1), array.reshape(-1)) == keeps
    assert keeps_element_order(shape, permutation) == keeps


def split_channels(graph, value):
    first = graph.node("Split", value, outputs=2, axis=3, num_outputs=2)
    return graph.node("Concat", f"{first}_1", graph.node("Sin", first), axis=-1)


def brightest(graph, value):
    place = graph.node("ArgMax", value, axis=2, keepdims=1)
    return graph.node("Add", value, graph.node("Cast", place, to=1))


@pytest.mark.parametrize(
    "layer",
    [
        split_channels,
        brightest,
        lambda graph, value: graph.node("LogSoftmax", value, axis=3),
        lambda graph, value: graph.node("CumSum", value, graph.constant(-1, int)),
        lambda graph, value: graph.node("Tile", value, graph.constant([1, 2, 1, 1], int)),
        lambda graph, value: graph.node("PRelu", value, graph.constant(graph.random.normal(size=(1, 1, 4)))),
        lambda graph, value: graph.node("ReduceMax", value, graph.constant([1], int)),
        lambda graph, value: graph.node(
            "Where", graph.node("Less", value, graph.constant([0.1, 0.2, 0.3, 0.4])), value, graph.constant(0.0)
        ),
    ],
)
def test_operators_along_an_axis_adapt_to_the_order_of_their_neighbours(layer):
    graph = OnnxGraph()
    image = conv_nhwc(graph, graph.input("x", 1, 9, 8, 3), (3, 4))
    model = graph.model(conv_nhwc(graph, layer(graph, image), (4, 2), (1, 1)))
    choose(model)
    assert len(transposes(model)) == 2
    assert transposes(model)[0].inputs[0].is_graph_input()
    assert transposes(model)[1].outputs[0].is_graph_output()
