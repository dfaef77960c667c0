from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.passes.fold_affine import fold_affine
from edgefleet_compiler.passes.gemms import normalise_gemms
from edgefleet_compiler.passes.windows import write_out_windows
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


def layer(graph, operator, *, bias=True, groups=1):
    """A Conv, ConvTranspose or Gemm of four output channels, and the shape that an operand per channel has."""
    if operator == "Gemm":
        source = graph.input("x", 2, 3)
        return graph.gemm(source, 3, 4) if bias else graph.node("Gemm", source, graph.weights(4, 3), transB=1), (4,)
    source = graph.input("x", 1, 4, 5, 6)
    shape = (4, 4 // groups, 2, 3)
    operands = [graph.weights(*shape)] + ([graph.constant([0.1, -0.2, 0.3, -0.4])] if bias else [])
    return graph.node(operator, source, *operands, group=groups), (1, 4, 1, 1)


def norm(graph, source):
    parameters = [graph.constant(graph.random.uniform(0.5, 2.0, 4)) for _ in range(4)]
    return graph.node("BatchNormalization", source, *parameters, epsilon=1e-3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("operator", "groups"), [("Conv", 1), ("Conv", 2), ("Conv", 4), ("ConvTranspose", 1), ("ConvTranspose", 2)]
)
def test_a_batch_norm_folds_into_the_convolution_before_it(operator, groups, bias):
    graph = OnnxGraph()
    model = graph.model(norm(graph, layer(graph, operator, bias=bias, groups=groups)[0]))
    write_out_windows(model)
    assert dict(apply(fold_affine, model)) == {f"folded {{}} BatchNormalization into {operator}": 1}
    assert operators(model) == [operator]


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose", "Gemm"])
@pytest.mark.parametrize("arithmetic", ["Mul", "Add"])
@pytest.mark.parametrize("scalar", [True, False])
def test_a_constant_per_channel_folds_into_the_layer_before_it(operator, arithmetic, scalar):
    graph = OnnxGraph()
    value, shape = layer(graph, operator)
    operand = graph.constant(graph.random.uniform(-2, 2, () if scalar else shape))
    model = graph.model(graph.node(arithmetic, value, operand))
    assert dict(apply(fold_affine, model)) == {f"folded {{}} {arithmetic} into {operator}": 1}
    assert operators(model) == [operator]


def test_a_chain_folds_in_one_go():
    graph = OnnxGraph()
    scaled = graph.node("Mul", norm(graph, layer(graph, "Conv")[0]), graph.constant(2.0))
    model = graph.model(
        graph.node("Relu", graph.node("Add", scaled, graph.constant([[[1.0]], [[2.0]], [[3.0]], [[4.0]]])))
    )
    apply(fold_affine, model)
    assert operators(model) == ["Conv", "Relu"]


def test_a_fully_connected_layer_as_product_and_sum_becomes_one():
    graph = OnnxGraph()
    product = graph.node("MatMul", graph.input("x", 2, 3), graph.weights(3, 4))
    model = graph.model(graph.node("Add", product, graph.constant([1.0, 2.0, 3.0, 4.0])))
    normalise_gemms(model)
    apply(fold_affine, model)
    assert operators(model) == ["Gemm"]


def test_what_others_use_is_not_folded_into():
    graph = OnnxGraph()
    value, _ = layer(graph, "Conv")
    model = graph.model(norm(graph, value), graph.node("Relu", value))
    assert not apply(fold_affine, model)


def test_an_output_of_the_graph_is_not_folded_into():
    graph = OnnxGraph()
    value, _ = layer(graph, "Conv")
    assert not apply(fold_affine, graph.model(norm(graph, value), value))


@pytest.mark.parametrize("shape", [(6,), (5, 1), (1, 4, 5, 6), (3, 4, 1, 1)])
def test_operands_along_other_axes_stay(shape):
    graph = OnnxGraph()
    graph_input = graph.input("x", 1, 4, 5, 6)
    value = graph.conv(graph_input, (4, 4), (1, 1))
    model = graph.model(graph.node("Mul", value, graph.constant(np.full(shape, 2.0))))
    assert not apply(fold_affine, model)
