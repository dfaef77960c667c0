from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant, input_integers
from edgefleet_compiler.passes.pads_and_slices import write_out_pads_and_slices
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of


def test_a_pad_of_some_axes_names_all_and_its_value():
    graph = OnnxGraph()
    operands = [graph.constant([1, 2, 0, 3], np.int64), "", graph.constant([-1, 1], np.int64)]
    model = graph.model(graph.node("Pad", graph.input("x", 1, 2, 3), *operands))
    apply(write_out_pads_and_slices, model)
    node = node_of(model, "Pad")
    assert len(node.inputs) == 3
    assert input_integers(node, 1) == (0, 2, 1, 0, 3, 0)
    assert float(constant(node.inputs[2])) == 0.0


def test_a_pad_keeps_its_value():
    graph = OnnxGraph()
    operands = [graph.constant([1, 1], np.int64), graph.constant(-2.5), graph.constant([2], np.int64)]
    model = graph.model(graph.node("Pad", graph.input("x", 1, 2, 3), *operands))
    apply(write_out_pads_and_slices, model)
    assert float(constant(node_of(model, "Pad").inputs[2])) == -2.5


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_pads_by_repetition_have_no_value(mode):
    graph = OnnxGraph()
    operands = [graph.constant([1, 1], np.int64), "", graph.constant([2], np.int64)]
    model = graph.model(graph.node("Pad", graph.input("x", 1, 2, 3), *operands, mode=mode))
    apply(write_out_pads_and_slices, model)
    assert len(node_of(model, "Pad").inputs) == 2


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps", "expected"),
    [
        ([1], [-1], [1], [1], ((0, 1), (2, 4), (1, 1))),
        ([-99], [99], [-1], [2], ((0, 0), (2, 5), (1, 2))),
        ([-1], [-99], [1], [-2], ((0, 4), (2, -6), (1, -2))),
        ([0, 3], [2, 0], [0, 1], [1, -1], ((0, 3), (2, 0), (1, -1))),
    ],
)
def test_slices_name_every_axis(starts, ends, axes, steps, expected):
    graph = OnnxGraph()
    operands = [graph.constant(numbers, np.int64) for numbers in (starts, ends, axes, steps)]
    model = graph.model(graph.node("Slice", graph.input("x", 2, 5), *operands))
    apply(write_out_pads_and_slices, model)
    node = node_of(model, "Slice")
    assert tuple(input_integers(node, index) for index in (1, 2, 4)) == expected
    assert input_integers(node, 3) == (0, 1)


def test_a_slice_without_axes_and_steps_gets_both():
    graph = OnnxGraph()
    operands = [graph.constant(numbers, np.int64) for numbers in ([0, 1], [2, 4])]
    model = graph.model(graph.node("Slice", graph.input("x", 2, 5), *operands))
    apply(write_out_pads_and_slices, model)
    assert input_integers(node_of(model, "Slice"), 4) == (1, 1)
