from __future__ import annotations

import pytest

from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, kinds
from support.onnx_graphs import OnnxGraph


def conv_model(channels, kernel, shape, **attributes):
    graph = OnnxGraph()
    return graph.model(graph.conv(graph.input("x", 1, channels[0], *shape), channels, kernel, **attributes))


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (1, 0, 0, 2), (3, 1, 0, 2)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_computes_what_onnxruntime_does_for_any_padding_stride_and_group(pads, strides, groups):
    model = conv_model((4, 8), (3, 4), (9, 12), pads=pads, strides=strides, group=groups)
    assert_export_agrees(model)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_a_dilated_convolution_computes_what_onnxruntime_does(groups, strides):
    model = conv_model((6, 6), (3, 3), (13, 11), pads=(2, 3, 2, 3), dilations=(2, 3), group=groups, strides=strides)
    assert_export_agrees(model)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_without_biases_computes_what_onnxruntime_does(groups):
    assert_export_agrees(conv_model((4, 4), (3, 3), (8, 8), bias=False, group=groups))


def test_one_group_per_channel_is_a_depthwise_convolution_with_its_multiplier():
    graph = assert_export_agrees(conv_model((3, 6), (3, 3), (8, 8), group=3))
    (conv,) = (operator for operator in graph.operators if operator.kind == "DEPTHWISE_CONV_2D")
    assert conv.attributes["depth_multiplier"] == 2
    assert graph.tensors[conv.inputs[1]].shape == (1, 3, 3, 6)


@pytest.mark.parametrize(
    ("extent", "pads", "strides", "folds"),
    [
        (8, (1, 1, 1, 1), (1, 1), True),
        (8, (0, 0, 1, 1), (2, 2), True),
        (7, (1, 1, 1, 1), (2, 2), True),
        (8, (1, 1, 1, 1), (2, 2), False),  # SAME would start one later
        (8, (1, 1, 0, 0), (1, 1), False),
    ],
)
def test_padding_becomes_same_exactly_where_that_pads_alike(extent, pads, strides, folds):
    graph = assert_export_agrees(conv_model((3, 4), (3, 3), (extent, extent), pads=pads, strides=strides))
    assert ("PAD" not in kinds(graph)) == folds


def test_padding_that_no_window_reaches_is_not_done():
    model = conv_model((3, 4), (3, 3), (9, 9), pads=(0, 0, 1, 1), strides=(2, 2))
    assert "PAD" not in kinds(assert_export_agrees(model))


def test_a_pad_before_a_convolution_is_folded_with_the_convolutions_own_padding():
    graph = OnnxGraph()
    padded = graph.node("Pad", graph.input("x", 1, 3, 8, 8), graph.constant([0, 0, 1, 0, 0, 0, 1, 0], int))
    lowered = assert_export_agrees(graph.model(graph.conv(padded, (3, 4), (3, 3), pads=[0, 1, 0, 1])))
    assert kinds(lowered) == ["TRANSPOSE", "CONV_2D", "TRANSPOSE"]


@pytest.mark.parametrize("attributes", [{}, {"pads": [2, 1]}, {"strides": [2]}, {"dilations": [3]}, {"group": 4}])
def test_a_one_dimensional_convolution_computes_what_onnxruntime_does(attributes):
    assert_export_agrees(conv_model((4, 8), (3,), (17,), **attributes))


def test_one_dimensional_convolutions_that_follow_each_other_have_no_reshape_between():
    graph = OnnxGraph()
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 20), (3, 4), (5,)))
    lowered = assert_export_agrees(graph.model(graph.conv(first, (4, 4), (3,), pads=[1, 1])))
    between = kinds(lowered)[kinds(lowered).index("CONV_2D") + 1]
    assert between == "CONV_2D"


def test_a_convolution_over_three_axes_is_refused_with_its_name():
    with pytest.raises(OperatorUnsupported, match=r"node_conv_\d+.*slides over 3 axes"):
        assert_export_agrees(conv_model((2, 3), (3, 3, 3), (5, 5, 5)))


def test_weights_computed_at_run_time_are_refused():
    graph = OnnxGraph()
    image, weights = graph.input("x", 1, 2, 5, 5), graph.input("w", 3, 2, 3, 3)
    with pytest.raises(OperatorUnsupported, match="weights or biases are computed at run time"):
        assert_export_agrees(graph.model(graph.node("Conv", image, weights, kernel_shape=[3, 3])))
