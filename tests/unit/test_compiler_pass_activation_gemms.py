"""A Gemm whose second factor is computed at run time becomes MatMul and what else it says."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.activation_gemms import rewrite_activation_gemms
from support.exports import assert_export_agrees, random_inputs, run_hub
from support.onnx_graphs import OnnxGraph


@pytest.mark.parametrize("addend", ["none", "input", "constant"])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"alpha": 0.5}, {"beta": 2.0, "transB": 1}, {"alpha": 3.0, "beta": 0.25, "transA": 1, "transB": 1}],
)
def test_it_computes_the_same(attributes, addend):
    graph = OnnxGraph()
    left = graph.input("left", *((4, 3) if attributes.get("transA") else (3, 4)))
    right = graph.input("right", *((5, 4) if attributes.get("transB") else (4, 5)))
    added = {"none": list, "input": lambda: [graph.input("c", 1, 5)], "constant": lambda: [graph.weights(3, 1)]}
    model = graph.model(graph.node("Gemm", left, right, *added[addend](), **attributes))
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    assert rewrite_activation_gemms(model)
    np.testing.assert_allclose(run_hub(model, inputs)[0], expected[0], rtol=1e-5, atol=1e-6)
    simplify(model)
    assert_export_agrees(model)


def test_a_gemm_with_constant_weights_stays():
    graph = OnnxGraph()
    model = graph.model(graph.gemm(graph.input("x", 1, 4), 4, 3))
    assert not rewrite_activation_gemms(model)
