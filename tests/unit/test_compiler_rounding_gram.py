"""Gram matrices of layers' inputs: what they are of each operator, and that no thread changes a bit of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.rounding.gram import POSITIONS, Gram
from edgefleet_compiler.quantise.rounding.layer import Layer
from support.onnx_graphs import OnnxGraph


def layer_of(graph, output):
    model = graph.model(output)
    (node,) = (node for node in model.graph if node.op_type in {"Conv", "Gemm", "MatMul"})
    weights = constant(node.inputs[1])
    return model, node, weights, Layer(node, weights.shape)


def convolution(groups, stride, dilation, pads, kernel):
    graph = OnnxGraph()
    graph.input("x", 1, 4, *(7,) * len(kernel))
    attributes = {"group": groups, "strides": [stride] * len(kernel), "dilations": [dilation] * len(kernel)}
    return graph, graph.node("Conv", "x", graph.weights(8, 4 // groups, *kernel), pads=pads, **attributes)


def fully_connected(operator, shape, weights, **attributes):
    graph = OnnxGraph()
    graph.input("x", *shape)
    return graph, graph.node(operator, "x", graph.weights(*weights), **attributes)


CASES = [
    convolution(1, 1, 1, [1, 1, 1, 1], (3, 3)),
    convolution(2, 2, 1, [0, 0, 1, 1], (3, 3)),
    convolution(4, 1, 2, [2, 1, 0, 1], (2, 3)),
    convolution(1, 1, 1, [1, 0], (3,)),
    fully_connected("Gemm", (3, 6), (5, 6), transB=1),
    fully_connected("Gemm", (6, 3), (6, 5), transA=1),
    fully_connected("MatMul", (2, 3, 6), (6, 5)),
]


@pytest.mark.parametrize(("graph", "output"), CASES)
def test_the_rows_times_the_matrices_are_what_the_layer_computes(graph, output):
    model, _, weights, layer = layer_of(graph, output)
    x = np.random.default_rng(1).normal(size=model.graph.inputs[0].shape.numpy()).astype(np.float32)
    computed = Session(model).run({"x": x})[output]
    rows = layer.rows(x, 10**6, np.random.default_rng(0))
    products = np.einsum("gpi,gci->gcp", rows, layer.matrices(weights)).reshape(-1, rows.shape[1])
    channels = products.shape[0]
    expected = computed[0].reshape(channels, -1) if computed.shape[1] == 8 else computed.reshape(-1, channels).T
    np.testing.assert_allclose(products, expected, atol=1e-5)
    np.testing.assert_array_equal(layer.weights(layer.matrices(weights)), weights)


@pytest.mark.parametrize(("graph", "output"), CASES)
def test_a_gram_matrix_is_the_mean_of_the_products_of_inputs(graph, output):
    model, _, _, layer = layer_of(graph, output)
    random, gram, expected = np.random.default_rng(2), Gram(layer), []
    for _ in range(9):
        stored = random.integers(-128, 128, model.graph.inputs[0].shape.numpy(), endpoint=False).astype(np.int8)
        gram.add_integers(stored, 0.25, -3)
        expected.append(layer.rows((stored.astype(np.float64) + 3) * 0.25, 10**6, random))
    rows = np.concatenate(expected, axis=1)
    np.testing.assert_array_equal(gram.matrices(), rows.swapaxes(1, 2) @ rows / rows.shape[1])


def test_float_inputs_of_any_magnitude_keep_six_digits():
    _, _, _, layer = layer_of(*fully_connected("Gemm", (3, 6), (5, 6), transB=1))
    random, gram, rows = np.random.default_rng(3), Gram(layer), []
    for magnitude in (1e-6, 1.0, 3e4):
        rows.append((random.normal(size=(3, 6)) * magnitude).astype(np.float32))
        gram.add_reals(rows[-1])
    stacked = np.concatenate(rows).astype(np.float64)
    np.testing.assert_allclose(gram.matrices()[0], stacked.T @ stacked / 9, rtol=1e-5)


def test_of_many_positions_some_are_drawn_the_same_ones_every_time():
    graph = OnnxGraph()
    graph.input("x", 1, 2, 40, 40)
    _, _, _, layer = layer_of(graph, graph.node("Conv", "x", graph.weights(3, 2, 3, 3)))
    x = np.random.default_rng(4).normal(size=(1, 2, 40, 40))
    drawn = [layer.rows(x, POSITIONS, np.random.default_rng(0)) for _ in range(2)]
    assert drawn[0].shape == (1, POSITIONS, 18)
    np.testing.assert_array_equal(*drawn)


def test_nothing_seen_gives_zeros():
    _, _, _, layer = layer_of(*fully_connected("MatMul", (1, 6), (6, 5)))
    np.testing.assert_array_equal(Gram(layer).matrices(), np.zeros((1, 6, 6)))
