from __future__ import annotations

import pytest

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.global_averages import recognise_global_averages
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators

RECOGNISED = {"recognised {} averages of whole images": 1}


def pooled(*shape: int, **attributes: object):
    graph = OnnxGraph()
    return graph.model(graph.node("AveragePool", graph.input("x", *shape), **attributes))


@pytest.mark.parametrize("shape", [(1, 3, 7), (2, 3, 6, 5), (1, 2, 3, 4, 5)])
def test_an_average_of_all_that_an_image_has_is_global(shape):
    model = pooled(*shape, kernel_shape=list(shape[2:]))
    assert dict(apply(recognise_global_averages, model)) == RECOGNISED
    assert operators(model) == ["GlobalAveragePool"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [6, 5]},
        {"count_include_pad": 1},
        {"ceil_mode": 1, "strides": [2, 2], "count_include_pad": 1},
        {"pads": [0, 0, 0, 0]},
        {"auto_pad": "VALID"},
    ],
)
def test_what_cannot_matter_to_one_window_does_not(attributes):
    assert apply(recognise_global_averages, pooled(1, 3, 6, 5, kernel_shape=[6, 5], **attributes))


def test_padding_that_an_automatic_rule_did_not_need_is_none():
    model = pooled(1, 3, 6, 5, kernel_shape=[6, 5], strides=[6, 5], auto_pad="SAME_UPPER")
    simplify(model)
    assert operators(model) == ["GlobalAveragePool"]


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("AveragePool", {"kernel_shape": [6, 4]}),
        ("AveragePool", {"kernel_shape": [6, 5], "pads": [1, 0, 0, 0]}),
        ("AveragePool", {"kernel_shape": [6, 5], "pads": [1, 0, 0, 0], "count_include_pad": 1, "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [6, 5], "auto_pad": "SAME_UPPER"}),
        ("MaxPool", {"kernel_shape": [6, 5]}),
    ],
)
def test_other_windows_stay(operator, attributes):
    graph = OnnxGraph()
    model = graph.model(graph.node(operator, graph.input("x", 1, 3, 6, 5), **attributes))
    assert not apply(recognise_global_averages, model)


def test_one_that_is_quantised_already_keeps_its_scale():
    graph = OnnxGraph()
    image = graph.pair(graph.input("x", 1, 3, 6, 5), 0.03, 5)
    model = graph.model(graph.pair(graph.node("AveragePool", image, kernel_shape=[6, 5]), 0.03, 5))
    assert not apply(recognise_global_averages, model)
