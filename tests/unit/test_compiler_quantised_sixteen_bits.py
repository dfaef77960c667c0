"""Quantised ONNX sources of 16 bits: onnxruntime moves few such integers, the rest is computed on their reals."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgefleet_compiler


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("operator", ["MaxPool", "Relu", "Transpose"])
def test_an_operator_between_pairs_of_sixteen_bits_runs_and_computes_the_same(operator: str, dtype: type) -> None:
    zero = 0 if dtype is np.int16 else 1 << 15
    constants = [numpy_helper.from_array(np.float32(1e-4), "scale"), numpy_helper.from_array(dtype(zero), "zero")]
    attributes, shape = {
        "MaxPool": ({"kernel_shape": [2, 2], "strides": [2, 2]}, (1, 2, 2, 2)),
        "Relu": ({}, (1, 2, 4, 4)),
        "Transpose": ({"perm": [0, 2, 3, 1]}, (1, 4, 4, 2)),
    }[operator]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xi"]),
        helper.make_node("DequantizeLinear", ["xi", "scale", "zero"], ["xq"]),
        helper.make_node(operator, ["xq"], ["r"], name="subject", **attributes),
        helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["yi"]),
        helper.make_node("DequantizeLinear", ["yi", "scale", "zero"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 4, 4)),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, shape),
    ]
    graph = helper.make_graph(nodes, "wide", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    compiled = edgefleet_compiler.compile(model, "x86-64")
    case = {"x": np.random.default_rng(0).uniform(-3, 3, (1, 2, 4, 4)).astype(np.float32)}
    assert np.array_equal(compiled.run(case)["y"], session.run(None, case)[0])
