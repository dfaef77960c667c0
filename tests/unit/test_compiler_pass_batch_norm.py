from __future__ import annotations

import pytest

from edgefleet_compiler.passes.batch_norm import rewrite_batch_norm
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 5), (1, 3, 4, 5)])
def test_a_batch_norm_that_stands_alone_is_a_product_and_a_sum(shape):
    graph = OnnxGraph()
    parameters = [graph.constant(graph.random.uniform(0.5, 2.0, 3)) for _ in range(4)]
    model = graph.model(graph.node("BatchNormalization", graph.input("x", *shape), *parameters, name="norm"))
    assert dict(apply(rewrite_batch_norm, model)) == {"rewrote {} BatchNormalization as Mul and Add": 1}
    assert operators(model) == ["Mul", "Add"]
    assert model.graph[1].name == "node_norm"
