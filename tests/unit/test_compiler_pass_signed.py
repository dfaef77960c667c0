from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.passes.signed import sign_integers
from support.onnx_graphs import OnnxGraph
from support.passes import apply, node_of


def unsigned_pair(graph: OnnxGraph, source: str, zero_point: int, dtype: type[np.generic] = np.uint8) -> str:
    parameters = [graph.constant(0.02), graph.constant(zero_point, dtype)]
    return graph.node("DequantizeLinear", graph.node("QuantizeLinear", source, *parameters), *parameters)


@pytest.mark.parametrize(
    ("dtype", "zero_point", "signed", "moved"), [(np.uint8, 100, np.int8, -28), (np.uint16, 30000, np.int16, -2768)]
)
def test_unsigned_activations_become_signed(dtype, zero_point, signed, moved):
    graph = OnnxGraph()
    model = graph.model(unsigned_pair(graph, graph.input("x", 2, 3), zero_point, dtype))
    apply(sign_integers, model)
    quantise = node_of(model, "QuantizeLinear")
    assert constant(quantise.inputs[2]) == moved
    assert quantise.outputs[0].dtype == ir.DataType.from_numpy(np.dtype(signed))


def test_a_zero_point_that_is_left_out_is_that_of_uint8():
    graph = OnnxGraph()
    scale = graph.constant(0.02)
    quantised = graph.node("QuantizeLinear", graph.input("x", 2, 3), scale)
    model = graph.model(graph.node("DequantizeLinear", quantised, scale))
    apply(sign_integers, model)
    assert constant(node_of(model, "DequantizeLinear").inputs[2]) == -128


def weights_behind(graph: OnnxGraph, stored: np.ndarray, zero_point: int) -> ir.Model:
    widened = graph.node(
        "DequantizeLinear", graph.constant(stored, np.uint8), graph.constant(0.1), graph.constant(zero_point, np.uint8)
    )
    return graph.model(graph.node("MatMul", graph.input("x", 2, 3), widened))


def test_unsigned_weights_become_symmetric_where_they_fit():
    model = weights_behind(OnnxGraph(), np.array([[20, 30], [140, 150], [120, 130]]), 140)
    apply(sign_integers, model)
    node = node_of(model, "DequantizeLinear")
    assert constant(node.inputs[2]) == 0
    np.testing.assert_array_equal(constant(node.inputs[0]), [[-120, -110], [0, 10], [-20, -10]])


def test_weights_that_do_not_fit_keep_a_zero_point():
    model = weights_behind(OnnxGraph(), np.array([[0, 30], [140, 150], [120, 255]]), 140)
    apply(sign_integers, model)
    assert constant(node_of(model, "DequantizeLinear").inputs[2]) == 12
