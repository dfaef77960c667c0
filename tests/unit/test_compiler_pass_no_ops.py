from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.passes.no_ops import remove_no_ops
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


def nothing(graph, source, operator):
    """A node of the operator that gives back its input of shape (1, 2, 3)."""
    integers = {"Pad": [[0] * 6], "Reshape": [[1, 2, 3]], "Slice": [[0], [9], [1]]}
    floats = {"Add": 0.0, "Mul": 1.0}
    operands = [graph.constant(array, np.int64) for array in integers.get(operator, [])]
    if operator in floats:
        operands.append(graph.constant(floats[operator]))
    attributes = {"Cast": {"to": 1}, "Transpose": {"perm": [0, 1, 2]}, "Concat": {"axis": 1}}.get(operator, {})
    return graph.node(operator, source, *operands, **attributes)


@pytest.mark.parametrize(
    "operator",
    ["Identity", "Dropout", "Cast", "Transpose", "Pad", "Reshape", "Slice", "Concat", "Max", "Min", "Add", "Mul"],
)
def test_a_node_without_effect_is_removed(operator):
    graph = OnnxGraph()
    before = graph.node("Tanh", graph.input("x", 1, 2, 3))
    model = graph.model(graph.node("Relu", nothing(graph, before, operator)))
    assert dict(apply(remove_no_ops, model)) == {f"removed {{}} {operator} without effect": 1}
    assert operators(model) == ["Tanh", "Relu"]


def test_an_output_keeps_its_name_when_its_node_goes():
    graph = OnnxGraph()
    model = graph.model(graph.node("Identity", graph.node("Relu", graph.input("x", 2)), name="scores"))
    apply(remove_no_ops, model)
    assert operators(model) == ["Relu"]
    assert model.graph.outputs[0].name == "scores"


def test_an_output_that_is_an_input_keeps_its_node():
    graph = OnnxGraph()
    model = graph.model(graph.node("Identity", graph.input("x", 2)))
    assert not apply(remove_no_ops, model)
    assert operators(model) == ["Identity"]


def test_two_outputs_of_one_value_keep_their_names():
    graph = OnnxGraph()
    value = graph.node("Relu", graph.input("x", 2), name="first")
    model = graph.model(value, graph.node("Identity", value, name="second"))
    apply(remove_no_ops, model)
    assert [output.name for output in model.graph.outputs] == ["first", "second"]


@pytest.mark.parametrize(
    ("operator", "operands", "attributes"),
    [
        ("Slice", [([-1], np.int64), ([-9], np.int64), ([2], np.int64), ([-1], np.int64)], {}),  # backwards
        ("Add", [(np.zeros((4, 1, 1, 1)), np.float32)], {}),  # broadcasts
        ("Transpose", [], {"perm": [0, 2, 1]}),
        ("Mul", [([1.0, 1.0, 2.0], np.float32)], {}),
    ],
)
def test_a_node_with_effect_stays(operator, operands, attributes):
    graph = OnnxGraph()
    constants = [graph.constant(array, dtype) for array, dtype in operands]
    model = graph.model(graph.node(operator, graph.input("x", 1, 2, 3), *constants, **attributes))
    assert not apply(remove_no_ops, model)


def test_the_mask_of_a_dropout_that_drops_nothing_is_constant():
    graph = OnnxGraph()
    kept = graph.node("Dropout", graph.node("Relu", graph.input("x", 2, 3)), outputs=2)
    model = graph.model(graph.node("Sin", kept), f"{kept}_1")
    apply(remove_no_ops, model)
    assert sorted(operators(model)) == ["Constant", "Relu", "Sin"]
