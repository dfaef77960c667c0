from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.passes.operands import normalise_operands
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


@pytest.mark.parametrize(("operator", "becomes", "operand"), [("Sub", "Add", [-0.5, 2.0]), ("Div", "Mul", [2.0, -0.5])])
def test_arithmetic_with_a_constant_becomes_a_sum_or_a_product(operator, becomes, operand):
    graph = OnnxGraph()
    model = graph.model(graph.node(operator, graph.input("x", 1, 2), graph.constant([0.5, -2.0])))
    apply(normalise_operands, model)
    assert operators(model) == [becomes]
    np.testing.assert_array_equal(constant(model.graph[0].inputs[1]), operand)


@pytest.mark.parametrize("operator", ["Add", "Mul"])
def test_constants_come_second(operator):
    graph = OnnxGraph()
    model = graph.model(graph.node(operator, graph.constant([0.5, -2.0]), graph.input("x", 1, 2)))
    assert dict(apply(normalise_operands, model)) == {"put {} constants second": 1}
    assert constant(model.graph[0].inputs[1]) is not None


def test_what_is_taken_from_or_divided_is_no_operand_to_turn():
    graph = OnnxGraph()
    source = graph.node("Sigmoid", graph.input("x", 1, 2))
    less = graph.node("Sub", graph.constant([0.5, -2.0]), source)
    model = graph.model(graph.node("Div", graph.constant([0.5, -2.0]), source), less)
    assert not apply(normalise_operands, model)


def test_a_division_by_next_to_nothing_stays_a_division():
    graph = OnnxGraph()
    model = graph.model(graph.node("Div", graph.input("x", 1, 2), graph.constant([1.0, 1e-45])))
    assert not normalise_operands(model)
    assert operators(model) == ["Div"]
