from __future__ import annotations

import pytest

from edgefleet_compiler.hub.graph import rank_of
from edgefleet_compiler.passes.ranks import align_ranks
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
def test_an_operand_of_lower_rank_gets_the_rank_of_the_result(operator):
    graph = OnnxGraph()
    image, row = graph.input("x", 1, 2, 3, 4), graph.node("Exp", graph.input("r", 3, 4))
    model = graph.model(graph.node(operator, row, image))
    assert dict(apply(align_ranks, model)) == {"extended {} operands to the rank of the result": 1}
    assert operators(model) == ["Exp", "Reshape", operator]
    assert [rank_of(value) for value in model.graph.outputs[0].producer().inputs] == [4, 4]


def test_constants_keep_their_shape():
    graph = OnnxGraph()
    model = graph.model(graph.node("Add", graph.input("x", 1, 2, 3, 4), graph.constant([1.0, 2.0, 3.0, 4.0])))
    assert not apply(align_ranks, model)
