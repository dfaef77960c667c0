"""Quantised ONNX sources whose operators mix scales: integers read by the wrong one would be other reals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgefleet_compiler

SHAPE = (1, 2, 4, 4)
FINE, COARSE = 0.015, 0.03


class Qdq:
    """A graph whose input is quantised by COARSE, and whose operator's output by ``scale``."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.constants = [numpy_helper.from_array(np.array(0, np.int8), "zero")]
        self.nodes: list[onnx.NodeProto] = []
        self.pair("x", COARSE, "xq")

    def pair(self, name: str, scale: float, to: str) -> None:
        self.constants.append(numpy_helper.from_array(np.float32(scale), f"{to}_scale"))
        self.nodes += [
            helper.make_node("QuantizeLinear", [name, f"{to}_scale", "zero"], [f"{to}_int"]),
            helper.make_node("DequantizeLinear", [f"{to}_int", f"{to}_scale", "zero"], [to]),
        ]

    def constant(self, name: str, values: Any, scale: float) -> str:
        self.constants += [
            numpy_helper.from_array(np.float32(scale), f"{name}_scale"),
            numpy_helper.from_array(np.rint(np.asarray(values) / scale).astype(np.int8), f"{name}_int"),
        ]
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}_int", f"{name}_scale", "zero"], [name]))
        return name

    def model(self, operator: str, operands: Sequence[str], shape: Sequence[int], **attributes: Any) -> onnx.ModelProto:
        self.nodes.append(helper.make_node(operator, ["xq", *operands], ["r"], name="subject", **attributes))
        self.pair("r", self.scale, "y")
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, extents)
            for name, extents in (("x", SHAPE), ("y", shape))
        ]
        graph = helper.make_graph(self.nodes, "mixed", ends[:1], ends[1:], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def largest_difference(model: onnx.ModelProto) -> float:
    """Of the TFLite artifact from the source, on inputs that fill the input's range."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    compiled = edgefleet_compiler.compile(model, "rpi4", format="tflite")
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(20):
        # Runs of zeros between large values: what is averaged lies far from its mean.
        values = generator.uniform(-3.8, 3.8, SHAPE) * (generator.random(SHAPE) < 0.3)
        case = {"x": values.astype(np.float32)}
        differences.append(np.abs(session.run(None, case)[0] - compiled.run(case)["y"]).max())
    return float(max(differences))


@pytest.mark.parametrize("scale", [FINE, COARSE, 0.05])
@pytest.mark.parametrize("operator", ["Min", "Max"])
def test_the_constant_of_an_extremum_is_stored_by_the_outputs_scale(operator: str, scale: float) -> None:
    graph = Qdq(scale)
    assert largest_difference(graph.model(operator, [graph.constant("bound", 0.6, 0.02)], SHAPE)) <= scale * 1.01


@pytest.mark.parametrize("scale", [FINE, COARSE, 0.05])
def test_a_constant_is_joined_by_the_outputs_scale(scale: float) -> None:
    graph = Qdq(scale)
    tail = graph.constant("tail", np.linspace(-1, 1, 32).reshape(SHAPE), 0.01)
    assert largest_difference(graph.model("Concat", [tail], (1, 4, 4, 4), axis=1)) <= scale * 1.01


@pytest.mark.parametrize("scale", [FINE, COARSE, 0.05])
def test_an_average_is_of_values_that_its_own_scale_could_not_hold(scale: float) -> None:
    model = Qdq(scale).model("AveragePool", [], (1, 2, 2, 2), kernel_shape=[2, 2], strides=[2, 2])
    assert largest_difference(model) <= COARSE / 2 + scale * 1.01  # rounded in the input's steps, then in the output's


@pytest.mark.parametrize("group", [1, 2])
def test_quantised_weights_of_a_transposed_convolution_are_their_reals(group: int) -> None:
    graph = Qdq(COARSE)
    weights = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 4 // group, 2, 2))
    operand = graph.constant("weights", weights, 0.005)
    model = graph.model("ConvTranspose", [operand], (1, 4, 8, 8), strides=[2, 2], group=group)
    assert largest_difference(model) <= COARSE * 1.01
