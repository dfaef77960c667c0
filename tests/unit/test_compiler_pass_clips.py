from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.passes.clips import normalise_clips
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


def bounds(model):
    return [float(constant(value)) for value in node_of(model, "Clip").inputs[1:]]


@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (0.0, np.finfo(np.float32).max)])
def test_a_clip_at_zero_is_a_relu(low, high):
    graph = OnnxGraph()
    model = graph.model(graph.clip(graph.input("x", 1, 9), low, high))
    apply(normalise_clips, model)
    assert operators(model) == ["Relu"]


def test_a_bound_left_out_is_written_out():
    graph = OnnxGraph()
    model = graph.model(graph.node("Clip", graph.input("x", 1, 9), "", graph.constant(0.5)))
    apply(normalise_clips, model)
    assert bounds(model) == [float(np.finfo(np.float32).min), 0.5]


def test_a_clip_without_bounds_is_removed():
    graph = OnnxGraph()
    model = graph.model(graph.node("Tanh", graph.node("Clip", graph.input("x", 1, 9))))
    apply(normalise_clips, model)
    assert operators(model) == ["Tanh"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((-1.0, 1.0), (0.0, 6.0), [0.0, 1.0]),
        ((-1.0, -0.5), (0.0, 6.0), [0.0, 0.0]),
        ((0.5, 1.0), (-2.0, 0.75), [0.5, 0.75]),
    ],
)
def test_clipping_twice_is_clipping_once(first, second, expected):
    graph = OnnxGraph()
    model = graph.model(graph.clip(graph.clip(graph.input("x", 1, 64), *first), *second))
    apply(normalise_clips, model)
    (last,) = [node for node in model.graph if node.outputs[0].is_graph_output()]
    assert last.inputs[0].is_graph_input()
    assert [float(constant(value)) for value in last.inputs[1:]] == expected


def test_a_relu_behind_a_clip_is_one_clip():
    graph = OnnxGraph()
    model = graph.model(graph.node("Relu", graph.clip(graph.input("x", 1, 64), -1.0, 0.5)))
    apply(normalise_clips, model)
    assert [float(constant(value)) for value in model.graph.outputs[0].producer().inputs[1:]] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("operator", "expected"), [("Max", [0.25, np.finfo(np.float32).max]), ("Min", [np.finfo(np.float32).min, 0.25])]
)
@pytest.mark.parametrize("constant_first", [False, True])
def test_an_extremum_with_a_constant_is_a_clip(operator, expected, constant_first):
    graph = OnnxGraph()
    operands = [graph.input("x", 1, 9), graph.constant([0.25])]
    model = graph.model(graph.node(operator, *(reversed(operands) if constant_first else operands)))
    apply(normalise_clips, model)
    assert bounds(model) == [float(bound) for bound in expected]


def test_relu6_as_two_extrema_is_one_clip():
    graph = OnnxGraph()
    low = graph.node("Max", graph.input("x", 1, 64), graph.constant(0.0))
    model = graph.model(graph.node("Min", low, graph.constant(6.0)))
    apply(normalise_clips, model)
    assert [float(constant(value)) for value in model.graph.outputs[0].producer().inputs[1:]] == [0.0, 6.0]


def test_extrema_per_channel_and_of_two_activations_stay():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3)
    per_channel = graph.node("Max", source, graph.constant([0.0, 1.0, 2.0]))
    model = graph.model(graph.node("Min", per_channel, source))
    assert not apply(normalise_clips, model)
