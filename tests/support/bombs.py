"""Tiny model files that ask for gigabytes, or for hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import TfliteGraph, edited

OPSET = helper.make_opsetid("", 21)
FUNCTIONS = helper.make_opsetid("own", 1)


def constant(name: str, array: ArrayLike, dtype: type[np.generic] = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array, dtype), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    *constants: onnx.TensorProto,
    shape: Sequence[int] = (1, 4),
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    """A model from ``x`` to ``y``, unchecked."""
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "bomb", [source], [result], constants)
    proto = helper.make_model(graph, opset_imports=[OPSET, FUNCTIONS], ir_version=10, functions=functions)
    return bytes(proto.SerializeToString())


def folded(operator: str, *constants: onnx.TensorProto) -> bytes:
    """A constant that an operator makes large, and whose mean is added to the input."""
    names = [tensor.name for tensor in constants]
    nodes = [
        helper.make_node(operator, names, ["large"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], keepdims=0),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    return model(nodes, *constants)


def many_constants(count: int = 200) -> bytes:
    """Constants of 60 MiB each, which alone would all be folded."""
    nodes, last = [], "x"
    for index in range(count):
        nodes += [
            helper.make_node("ConstantOfShape", ["shape"], [f"large_{index}"]),
            helper.make_node("ReduceMean", [f"large_{index}"], [f"mean_{index}"], keepdims=0),
            helper.make_node("Add", [last, f"mean_{index}"], [f"sum_{index}"]),
        ]
        last = f"sum_{index}"
    nodes.append(helper.make_node("Relu", [last], ["y"]))
    return model(nodes, constant("shape", [15 * 2**20]))


def many_activations(count: int = 20) -> bytes:
    """Images of 225 MiB each, all alive until the last is there."""
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], [f"large_{index}"], mode="nearest") for index in range(count)
    ]
    nodes.append(helper.make_node("Concat", [f"large_{index}" for index in range(count)], ["all"], axis=1))
    nodes.append(helper.make_node("GlobalAveragePool", ["all"], ["y"]))
    return model(nodes, constant("scales", [1, 1, 1920, 1920], np.float32), shape=(1, 1, 4, 4))


def functions_upon_functions(depth: int = 40) -> bytes:
    """Each calls the next twice: 2 to the power of ``depth`` nodes."""
    functions = []
    for index in range(depth):
        last = index == depth - 1
        calls = [
            helper.make_node("Relu" if last else f"f{index + 1}", [source], [result], domain="" if last else "own")
            for source, result in (("a", "b"), ("b", "c"))
        ]
        functions.append(helper.make_function("own", f"f{index}", ["a"], ["c"], calls, [OPSET, FUNCTIONS]))
    return model([helper.make_node("f0", ["x"], ["y"], domain="own")], functions=functions)


def long_lstm(steps: int = 200_000) -> bytes:
    """A layer whose steps would all be written out."""
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=1)
    weights = [constant(name, np.ones((1, 4, 1)), np.float32) for name in "wr"]
    return model([node], *weights, shape=(steps, 1, 1))


def onnx_bombs() -> Mapping[str, bytes]:
    """By name."""
    one = constant("one", [1.0], np.float32)
    column = constant("column", np.ones((50_000, 1)), np.float32)
    claims = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**20, 2**20])
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[30_000] * 4)
    resize = helper.make_node("Resize", ["x", "", "scales"], ["y"])
    return {
        "ConstantOfShape": folded("ConstantOfShape", constant("shape", [10**10])),
        "Expand": folded("Expand", one, constant("shape", [10**5, 10**5])),
        "Tile": folded("Tile", one, constant("repeats", [10**10])),
        "Pad": folded("Pad", one, constant("pads", [0, 2 * 10**9])),
        "Range": folded("Range", *(constant(name, number) for name, number in (("a", 0), ("b", 10**10), ("c", 1)))),
        "MatMul": folded("MatMul", column, constant("row", np.ones((1, 50_000)), np.float32)),
        "OneHot": folded("OneHot", constant("i", [0] * 100), constant("d", 10**9), constant("v", [0, 1], np.float32)),
        "many-constants": many_constants(),
        "many-activations": many_activations(),
        "weights": model([helper.make_node("Add", ["x", "w"], ["y"])], claims),
        "Conv": model([conv], constant("w", np.ones((1, 1, 1, 1)), np.float32), shape=(1, 1, 4, 4)),
        "Resize": model([resize], constant("scales", [1, 1, 30_000, 30_000], np.float32), shape=(1, 1, 4, 4)),
        "functions": functions_upon_functions(),
        "LSTM": long_lstm(),
    }  # fmt: skip


def tflite_bombs() -> Mapping[str, bytes]:
    """By name."""
    padded = TfliteGraph()
    pads = padded.constant([[0, 0], [30_000, 30_000], [30_000, 30_000], [0, 0]], np.int32)
    image = padded.add("PAD", [padded.input((1, 4, 4, 1)), pads], (1, 60_004, 60_004, 1))
    many = TfliteGraph()
    source = value = many.input((1, 4096, 4096, 3))
    for _ in range(40):
        value = many.add("ADD", [value, source], (1, 4096, 4096, 3))
    flat = TfliteGraph()
    logits = flat.add("SOFTMAX", [flat.input((1, 4))], (1, 4), beta=1.0)

    def claim_more(tree: object) -> None:
        for tensor in tree.subgraphs[0].tensors:  # type: ignore[attr-defined]  # the generated class ModelT
            tensor.shape = [2**30, 2**30]

    return {
        "PAD": write_tflite(padded.graph(image)),
        "activations": write_tflite(many.graph(value)),
        "shapes": edited(write_tflite(flat.graph(logits)), claim_more),
    }
