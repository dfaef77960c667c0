from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.passes.constants import constants_to_initializers
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ({"value": numpy_helper.from_array(np.array([[1.5, 2.5]], np.float32))}, np.array([[1.5, 2.5]], np.float32)),
        ({"value_float": 1.5}, np.array(1.5, np.float32)),
        ({"value_floats": [1.5, 2.5]}, np.array([1.5, 2.5], np.float32)),
    ],
)
def test_a_constant_node_becomes_an_initializer_of_the_same_value(attribute, expected):
    graph = OnnxGraph()
    model = graph.model(graph.node("Add", graph.input("x", 1, 2), graph.node("Constant", **attribute)))
    effects = apply(constants_to_initializers, model)
    assert dict(effects) == {"made {} Constant an initializer": 1}
    assert operators(model) == ["Add"]
    value = constant(node_of(model, "Add").inputs[1])
    np.testing.assert_array_equal(value, expected)
    assert value.dtype == expected.dtype


def test_integer_constants_are_64_bits_wide():
    graph = OnnxGraph()
    shape = graph.node("Constant", value_ints=[2, 1])
    model = graph.model(graph.node("Reshape", graph.input("x", 1, 2), shape))
    apply(constants_to_initializers, model)
    assert constant(node_of(model, "Reshape").inputs[1]).dtype == np.int64


def test_a_constant_that_is_an_output_stays_for_the_output_alone():
    graph = OnnxGraph()
    fixed = graph.node("Constant", value_floats=[1.0])
    model = graph.model(graph.node("Add", graph.input("x", 1), fixed), fixed)
    assert dict(apply(constants_to_initializers, model)) == {"made {} Constant an initializer": 1}
    assert operators(model) == ["Constant", "Add"]
    np.testing.assert_array_equal(constant(node_of(model, "Add").inputs[1]), [1.0])
