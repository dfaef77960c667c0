from __future__ import annotations

import pytest

from edgefleet_compiler.hub.operators import SUPPORTED
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, kinds
from support.onnx_graphs import OnnxGraph

SHAPES = [(1, 3, 7, 5), (1, 4, 9), (1, 12), (7,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("operator", ["Relu", "Sigmoid", "Tanh", "LeakyRelu"])
def test_an_activation_computes_what_onnxruntime_does(operator, shape):
    graph = OnnxGraph()
    assert_export_agrees(graph.model(graph.node(operator, graph.input("x", *shape))))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 6, ["RELU6"]),
        (-1, 1, ["RELU_N1_TO_1"]),
        (0, 1, ["RELU_0_TO_1"]),
        (0, 0.7, ["RELU", "MINIMUM"]),
        (-0.3, 0.4, ["MAXIMUM", "MINIMUM"]),
        (-3.5e38, 0.2, ["MINIMUM"]),
        (0.1, 3.4028234663852886e38, ["MAXIMUM"]),
    ],
)
def test_a_clip_becomes_the_operators_of_its_bounds(low, high, expected):
    graph = OnnxGraph()
    clip = graph.clip(graph.input("x", 1, 12), low if low > -3.5e38 else float("-inf"), high)
    assert kinds(assert_export_agrees(graph.model(clip))) == expected


def test_a_clip_without_bounds_is_a_copy():
    graph = OnnxGraph()
    assert kinds(assert_export_agrees(graph.model(graph.node("Clip", graph.input("x", 1, 12))))) == ["RESHAPE"]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1, 3, 7, 5), (1, 3, 7, 5)),
        ((1, 3, 7, 5), (1, 3, 1, 1)),
        ((1, 1, 7, 1), (1, 3, 1, 5)),
        ((1, 3, 7, 5), (7, 5)),
        ((1, 4, 9), (9,)),
        ((1, 12), (1, 12)),
    ],
)
def test_two_activations_are_broadcast_as_onnx_does(operator, left, right):
    graph = OnnxGraph()
    divisor = graph.node("Sigmoid", graph.input("y", *right))
    convolved = graph.node(operator, graph.input("x", *left), divisor)
    assert_export_agrees(graph.model(convolved))


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (7, 1), (4, 1, 1), (4, 7, 5), (1, 4, 7, 5), (2, 1, 4, 1, 1)])
@pytest.mark.parametrize("first", [False, True])
def test_a_constant_operand_is_broadcast_as_onnx_does(operator, shape, first):
    graph = OnnxGraph()
    image = graph.node("Sigmoid", graph.conv(graph.input("x", 1, 3, 9, 7), (3, 4), (3, 3)))
    constant = graph.constant(graph.random.uniform(0.5, 1, shape))
    operands = (constant, image) if first else (image, constant)
    assert_export_agrees(graph.model(graph.node(operator, *operands)))


@pytest.mark.parametrize("shape", [(1, 3, 7, 5), (1, 4, 9), (2, 12)])
@pytest.mark.parametrize("axis", [1, -1, 0])
def test_a_softmax_over_any_axis_computes_what_onnxruntime_does(shape, axis):
    graph = OnnxGraph()
    assert_export_agrees(graph.model(graph.node("Softmax", graph.input("x", *shape), axis=axis)))


def test_a_softmax_over_channels_between_convolutions_needs_no_transposition():
    graph = OnnxGraph()
    first = graph.conv(graph.input("x", 1, 3, 8, 8), (3, 4), (3, 3))
    last = graph.conv(graph.node("Softmax", first, axis=1), (4, 2), (1, 1))
    assert kinds(assert_export_agrees(graph.model(last))).count("TRANSPOSE") == 2


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("axes", [[2, 3], [1], [-1], [0, 1, 2, 3], [2]])
@pytest.mark.parametrize("keep", [0, 1])
def test_a_reduction_over_any_axes_computes_what_onnxruntime_does(operator, axes, keep):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 9, 7), (3, 4), (3, 3))
    assert_export_agrees(graph.model(graph.node(operator, image, graph.constant(axes, int), keepdims=keep)))


@pytest.mark.parametrize("pads", [[0, 0, 1, 2, 0, 0, 3, 0], [0, 1, 0, 0, 0, 2, 0, 0]])
@pytest.mark.parametrize("value", [None, 0.0, -1.5])
def test_a_pad_computes_what_onnxruntime_does(pads, value):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 9, 7), (3, 4), (3, 3))
    settings = [graph.constant(pads, int), *([] if value is None else [graph.constant(value)])]
    assert_export_agrees(graph.model(graph.node("Pad", image, *settings)))


def test_a_pad_of_chosen_axes_and_a_reflection_compute_what_onnxruntime_does():
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 9, 7), (3, 4), (3, 3))
    chosen = graph.node("Pad", image, graph.constant([1, 2, 0, 1], int), "", graph.constant([-1, 2], int))
    assert_export_agrees(graph.model(graph.node("Pad", chosen, graph.constant([0, 0, 1, 2] * 2, int), mode="reflect")))


@pytest.mark.parametrize("mode", ["edge", "wrap", "constant"])
@pytest.mark.parametrize("pads", [[0, 0, 1, 2, 0, 0, 3, 0], [0, 1, -1, 0, 0, 2, 0, -2]])
def test_a_pad_repeats_the_border_goes_on_at_the_other_end_or_takes_away(mode, pads):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 9, 7), (3, 4), (3, 3))
    assert_export_agrees(graph.model(graph.node("Pad", image, graph.constant(pads, int), mode=mode)))


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1, 0], [4, 3], [2, 3], [1, 2]),
        ([-3], [1000], [1], [1]),
        ([-1], [-1000], [2], [-1]),
        ([5, 3], [0, -1000], [2, 1], [-2, -1]),
    ],
)
def test_a_slice_forward_or_backward_computes_what_onnxruntime_does(starts, ends, axes, steps):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 9, 8), (3, 4), (3, 3))
    bounds = [graph.constant(array, int) for array in (starts, ends, axes, steps)]
    assert_export_agrees(graph.model(graph.node("Slice", image, *bounds)))


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_a_concatenation_over_any_axis_computes_what_onnxruntime_does(axis):
    graph = OnnxGraph()
    image = graph.input("x", 1, 3, 6, 6)
    branches = [
        graph.conv(image, (3, 4), (3, 3)),
        graph.conv(image, (3, 4), (3, 3)),
        graph.constant([[[[0.5] * 4] * 4] * 4]),
    ]
    assert_export_agrees(graph.model(graph.node("Concat", *branches, axis=axis)))


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2), (3, 2, 1, 0), (0, 1, 2, 3)])
def test_a_transpose_between_convolutions_computes_what_onnxruntime_does(perm):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3))
    turned = graph.node("Transpose", image, perm=perm)
    assert_export_agrees(graph.model(graph.node("Sigmoid", turned), graph.node("Relu", image)))


@pytest.mark.parametrize("shape", [(1, 64), (64,), (4, 16), (1, 4, 16), (1, 16, 4), (1, 2, 2, 4, 4), (1, 8, 2, 4)])
def test_a_reshape_of_an_image_keeps_the_order_of_its_elements(shape):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3))
    assert_export_agrees(graph.model(graph.reshape(image, *shape)))


@pytest.mark.parametrize("bias", [(5,), (1, 5), (1,), ()])
def test_a_fully_connected_layer_broadcasts_its_biases(bias):
    graph = OnnxGraph()
    biases = graph.constant(graph.random.normal(size=bias))
    assert_export_agrees(graph.model(graph.node("Gemm", graph.input("x", 2, 7), graph.weights(5, 7), biases, transB=1)))


def test_a_product_with_a_constant_or_an_activation_of_three_axes_computes_what_onnxruntime_does():
    graph = OnnxGraph()
    left = graph.node("MatMul", graph.input("x", 2, 5, 7), graph.weights(7, 3))
    assert kinds(assert_export_agrees(graph.model(graph.node("MatMul", left, graph.input("y", 2, 3, 4))))) == [
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
    ]


def test_all_operators_without_a_lowering_are_told_at_once_with_their_nodes():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3, 4, 4)
    first = graph.node("Erf", source, name="first")
    second = graph.node("Det", graph.node("Relu", first), name="second")
    with pytest.raises(OperatorUnsupported) as refused:
        assert_export_agrees(graph.model(second))
    assert refused.value.exit_status == 3
    assert [(entry["node"], entry["operator"]) for entry in refused.value.facts["operators"]] == [
        ("node_first", "Erf"),
        ("node_second", "Det"),
    ]


def test_outputs_that_are_inputs_constants_or_other_outputs_are_copied():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3, 4, 4)
    relu = graph.node("Relu", source)
    outputs = [graph.node("Identity", source), relu, graph.node("Identity", relu)]
    outputs.append(graph.node("Constant", value_floats=[1.0, -2.0]))
    lowered = assert_export_agrees(graph.model(*outputs))
    assert sorted(kinds(lowered)) == ["RELU", "RESHAPE", "RESHAPE", "RESHAPE"]


def test_the_operators_that_a_refusal_offers_are_those_that_can_be_imported():
    graph = OnnxGraph()
    model = graph.model(graph.node("Erf", graph.input("x", 1, 4)))
    with pytest.raises(OperatorUnsupported) as refusal:
        assert_export_agrees(model)
    offered = set(refusal.value.expected.removeprefix("operators among ").split(", "))
    assert offered <= SUPPORTED
    assert {"Conv", "Identity", "Relu"} <= offered
