from __future__ import annotations

import pytest

from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, kinds
from support.onnx_graphs import OnnxGraph

PADS = [(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (1, 0, 0, 2), (2, 1, 0, 2)]


def pool_model(operator, shape=(1, 3, 10, 12), **attributes):
    graph = OnnxGraph()
    return graph.model(graph.node(operator, graph.input("x", *shape), **attributes))


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("ceil", [0, 1])
def test_a_maximum_pool_computes_what_onnxruntime_does(pads, strides, ceil):
    assert_export_agrees(pool_model("MaxPool", kernel_shape=(3, 4), pads=pads, strides=strides, ceil_mode=ceil))


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("include", [0, 1])
def test_an_average_pool_computes_what_onnxruntime_does(pads, strides, ceil, include):
    model = pool_model(
        "AveragePool", kernel_shape=(3, 4), pads=pads, strides=strides, ceil_mode=ceil, count_include_pad=include
    )
    assert_export_agrees(model)


def test_pools_padded_as_same_are_one_operator():
    for operator in ("MaxPool", "AveragePool"):
        lowered = assert_export_agrees(pool_model(operator, kernel_shape=(3, 3), pads=(1, 1, 1, 1)))
        assert len(kinds(lowered)) == 3  # with the transpositions of input and output


@pytest.mark.parametrize("dilations", [(2, 2), (1, 3)])
def test_a_dilated_maximum_pool_computes_what_onnxruntime_does(dilations):
    model = pool_model("MaxPool", kernel_shape=(2, 3), dilations=dilations, strides=(2, 1), pads=(1, 1, 1, 1))
    assert_export_agrees(model)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_a_one_dimensional_pool_computes_what_onnxruntime_does(operator):
    assert_export_agrees(pool_model(operator, (1, 3, 15), kernel_shape=(3,), strides=(2,), pads=(1, 0)))


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(1, 3, 7, 5), (1, 4, 9)])
def test_a_global_pool_computes_what_onnxruntime_does(operator, shape):
    assert_export_agrees(pool_model(operator, shape))


@pytest.mark.parametrize("dilations", [(2, 2), (1, 3)])
@pytest.mark.parametrize("include", [0, 1])
def test_a_dilated_average_pool_computes_what_onnxruntime_does(dilations, include):
    attributes = {"dilations": dilations, "count_include_pad": include, "pads": (1, 0, 1, 1), "strides": (2, 1)}
    assert_export_agrees(pool_model("AveragePool", kernel_shape=(3, 2), **attributes))


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": (2, 1, 3), "pads": (1, 0, 1, 0, 1, 1)},
        {"strides": (1, 2, 2), "pads": (0, 1, 1, 1, 1, 0), "ceil_mode": 1},
        {"dilations": (2, 1, 2)},
    ],
)
def test_a_pool_over_three_axes_is_one_over_two_and_one_over_the_third(operator, attributes):
    assert_export_agrees(pool_model(operator, (2, 3, 6, 7, 8), kernel_shape=(2, 3, 2), **attributes))


def test_indices_that_are_used_are_refused():
    graph = OnnxGraph()
    indices = graph.node("MaxPool", graph.input("x", 1, 3, 9, 9), kernel_shape=[2, 2], outputs=2) + "_1"
    with pytest.raises(OperatorUnsupported) as refused:
        assert_export_agrees(graph.model(indices))
    assert [entry["operator"] for entry in refused.value.facts["operators"]] == ["MaxPool"]
