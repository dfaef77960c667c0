from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.passes.compositions import write_out_compositions
from edgefleet_compiler.passes.powers import rewrite_powers
from edgefleet_compiler.passes.reductions import write_out_axes
from edgefleet_compiler.passes.variadic import take_two_at_a_time
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of, operators


@pytest.mark.parametrize(
    ("operator", "becomes"),
    [
        ("Reciprocal", ["Div"]),
        ("Selu", ["Elu", "Mul"]),
        ("Mish", ["Min", "Exp", "Add", "Mul", "Add", "Div", "Mul"]),
    ],
)
def test_an_activation_is_written_out(operator, becomes):
    graph = OnnxGraph()
    model = graph.model(graph.node(operator, graph.input("x", 2, 5)))
    assert apply(write_out_compositions, model) == {f"wrote out {{}} {operator}": 1}
    assert operators(model) == becomes


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [-1, 0], []])
def test_the_logarithm_of_a_sum_of_exponentials_overflows_nowhere(axes, keepdims):
    graph = OnnxGraph()
    large = graph.node("Mul", graph.input("x", 2, 5, 3), graph.constant(200.0))
    model = graph.model(graph.node("ReduceLogSumExp", large, graph.constant(axes, int), keepdims=keepdims))
    apply(write_out_compositions, model)
    assert "ReduceLogSumExp" not in operators(model)


def test_a_global_maximum_is_a_reduction_over_the_picture():
    graph = OnnxGraph()
    model = graph.model(graph.node("GlobalMaxPool", graph.input("x", 2, 3, 4, 5)))
    apply(write_out_compositions, model)
    assert operators(model) == ["ReduceMax"]


@pytest.mark.parametrize("upper", [0, 1])
def test_a_triangle_is_a_choice_by_a_constant(upper):
    graph = OnnxGraph()
    model = graph.model(graph.node("Trilu", graph.input("x", 2, 4, 5), upper=upper))
    apply(write_out_compositions, model)
    assert operators(model) == ["Where"]


@pytest.mark.parametrize(
    ("exponent", "becomes"),
    [(1, ["Identity"]), (2, ["Mul"]), (3, ["Mul", "Mul"]), (0.5, ["Sqrt"]), (-1, ["Reciprocal"])],
)
def test_a_small_exponent_needs_no_power(exponent, becomes):
    graph = OnnxGraph()
    model = graph.model(graph.node("Pow", graph.node("Exp", graph.input("x", 2, 5)), graph.constant(exponent)))
    apply(rewrite_powers, model)
    assert operators(model) == ["Exp", *becomes]


def test_an_exponent_gets_the_type_of_its_base_where_that_holds_it():
    graph = OnnxGraph()
    model = graph.model(
        graph.node("Pow", graph.input("x", 2, 5), graph.constant(4, np.int64)),
        graph.node("Pow", graph.input("y", 2, dtype=np.int32), graph.constant(1.5)),
    )
    assert apply(rewrite_powers, model) == {"gave {} exponents the type of their base": 1}
    assert [node.inputs[1].dtype.numpy() for node in model.graph] == [np.float32, np.float32]


@pytest.mark.parametrize(
    ("axes", "noop", "becomes"),
    [([-1, 0], 0, "ReduceSum"), ([], 0, "ReduceSum"), ([], 1, "Identity"), (None, 0, "ReduceSum")],
)
def test_axes_are_written_out(axes, noop, becomes):
    graph = OnnxGraph()
    operands = [] if axes is None else [graph.constant(axes, int)]
    model = graph.model(graph.node("ReduceSum", graph.input("x", 2, 3, 4), *operands, noop_with_empty_axes=noop))
    assert apply(write_out_axes, model) == {"wrote out the axes of {} reductions": 1}
    assert operators(model) == [becomes]
    if becomes == "ReduceSum":
        written = node_of(model, "ReduceSum").inputs[1].const_value.numpy().tolist()
        assert written == ([0, 2] if axes == [-1, 0] else [0, 1, 2])


@pytest.mark.parametrize(
    ("operator", "becomes"),
    [("Sum", ["Add", "Add"]), ("Mean", ["Add", "Add", "Mul"]), ("Max", ["Max", "Max"]), ("Min", ["Min", "Min"])],
)
def test_three_operands_are_taken_two_at_a_time(operator, becomes):
    graph = OnnxGraph()
    operands = [graph.input("x", 2, 1, 4), graph.input("y", 3, 1), graph.input("z", 4)]
    model = graph.model(graph.node(operator, *operands))
    apply(take_two_at_a_time, model)
    assert operators(model) == becomes


def test_two_operands_of_a_maximum_stay():
    graph = OnnxGraph()
    model = graph.model(graph.node("Max", graph.input("x", 2), graph.input("y", 2)))
    assert not apply(take_two_at_a_time, model)
