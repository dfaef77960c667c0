"""A model of one operator, run before others: what wakes the runtime and Python is no cost of theirs."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgefleet_compiler.benchmark.subject import Model, in_memory


def small_model(model_format: Literal["tflite", "onnx"]) -> Model:
    """A sigmoid of one number."""
    return in_memory(_small_tflite() if model_format == "tflite" else _small_onnx(), model_format)


def _small_tflite() -> bytes:
    from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor  # noqa: PLC0415 - for this format only
    from edgefleet_compiler.tflite.writer import write_tflite  # noqa: PLC0415 - loads a large schema

    tensors = {name: Tensor(name, (1, 1), np.dtype(np.float32)) for name in ("x", "y")}
    operator = Operator("LOGISTIC", ["x"], ["y"])
    return write_tflite(LoweredGraph(tensors, [operator], ["x"], ["y"]))


def _small_onnx() -> bytes:
    from onnx import TensorProto, helper  # noqa: PLC0415 - for this format only

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Sigmoid", ["x"], ["y"])], "small", [x], [y])
    opset = helper.make_opsetid("", 13)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
