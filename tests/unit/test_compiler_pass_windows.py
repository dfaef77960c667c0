from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import integers
from edgefleet_compiler.passes.windows import write_out_windows
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (5, 2, 1), (6, 5, 3)])
@pytest.mark.parametrize("operator", ["Conv", "MaxPool", "AveragePool"])
def test_automatic_padding_is_written_out(operator, auto_pad, size, kernel, stride):
    graph = OnnxGraph()
    source = graph.input("x", 1, 2, size, size + 1)
    attributes = {"strides": [stride, 1], "auto_pad": auto_pad}
    kernel = (min(kernel, size), min(kernel, size))
    if operator == "Conv":
        model = graph.model(graph.conv(source, (2, 3), kernel, **attributes))
    else:
        model = graph.model(graph.node(operator, source, kernel_shape=list(kernel), **attributes))
    apply(write_out_windows, model)
    node = node_of(model, operator)
    assert "auto_pad" not in node.attributes
    assert len(integers(node, "pads")) == 4


def test_every_attribute_of_a_convolution_is_written_out():
    graph = OnnxGraph()
    source = graph.input("x", 1, 4, 5, 6)
    model = graph.model(graph.node("Conv", source, graph.weights(6, 4, 3, 2)))
    apply(write_out_windows, model)
    attributes = {name: attribute.value for name, attribute in node_of(model, "Conv").attributes.items()}
    assert attributes == {
        "kernel_shape": (3, 2), "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "group": 1,
    }  # fmt: skip


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 0, 1]])
def test_sizes_rounded_up_become_padding_at_the_end(operator, pads):
    graph = OnnxGraph()
    source = graph.input("x", 1, 2, 6, 8)
    pooled = graph.node(operator, source, kernel_shape=[3, 3], strides=[2, 2], pads=pads, ceil_mode=1)
    model = graph.model(pooled)
    apply(write_out_windows, model)
    assert "ceil_mode" not in node_of(model, operator).attributes


def test_averages_that_count_padding_keep_their_rounding():
    graph = OnnxGraph()
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    model = graph.model(graph.node("AveragePool", graph.input("x", 1, 2, 6, 8), ceil_mode=1, **attributes))
    apply(write_out_windows, model)
    assert node_of(model, "AveragePool").attributes["ceil_mode"].value == 1


@pytest.mark.parametrize(
    "attributes",
    [{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"output_shape": [9, 11]}, {"output_padding": [1, 0]}],
)
def test_transposed_convolutions_say_how_much_they_trim(attributes):
    graph = OnnxGraph()
    weights = graph.constant(np.random.default_rng(0).normal(size=(3, 4, 3, 3)))
    model = graph.model(
        graph.node("ConvTranspose", graph.input("x", 1, 3, 5, 6), weights, strides=[2, 2], **attributes)
    )
    apply(write_out_windows, model)
    node = node_of(model, "ConvTranspose")
    assert not {"auto_pad", "output_shape"} & set(node.attributes)
    assert len(integers(node, "pads")) == 4


def test_a_transposed_convolution_larger_than_its_full_result_keeps_its_shape():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3, 3, 3)
    weights = graph.weights(3, 2, 3, 3)
    model = graph.model(graph.node("ConvTranspose", source, weights, strides=[3, 2], output_shape=[10, 8]))
    apply(write_out_windows, model)
    assert node_of(model, "ConvTranspose").attributes["output_shape"].as_ints() == (10, 8)


def test_pools_name_dilations_only_where_they_have_some():
    graph = OnnxGraph()
    source = graph.input("x", 1, 2, 9, 9)
    plain = graph.node("AveragePool", source, kernel_shape=[2, 2], dilations=[1, 1])
    dilated = graph.node("AveragePool", source, kernel_shape=[2, 2], dilations=[2, 2])
    model = graph.model(plain, dilated)
    apply(write_out_windows, model)
    assert ["dilations" in node.attributes for node in model.graph] == [False, True]
