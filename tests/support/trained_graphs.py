"""A program for tests: small graphs of all operators that training knows, in TensorFlow and in onnxruntime.

Run as ``python -m support.trained_graphs``, since TensorFlow is never loaded into the tests' own process. It prints one
JSON document: for each graph its largest difference and whether its weights get gradients.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from support.onnx_graphs import OnnxGraph

_CASES = 3
_UNARY = (
    *("Abs", "Elu", "Erf", "Exp", "Gelu", "HardSwish", "Identity", "LeakyRelu", "Mish", "Neg", "Relu", "Selu"),
    *("Sigmoid", "Softplus", "Tanh"),
)
_POSITIVE = ("Log", "Reciprocal", "Sqrt")


def graphs() -> dict[str, ir.Model]:
    """The graphs, by what is special in them."""
    made: dict[str, Callable[[OnnxGraph], str]] = {
        "convolution with uneven borders and strides": lambda graph: graph.conv(
            _image(graph), (4, 6), (3, 2), strides=[2, 1], pads=[0, 1, 1, 0]
        ),
        "convolution with dilations": lambda graph: graph.conv(
            _image(graph), (4, 6), (3, 3), dilations=[2, 2], pads=[2, 2, 2, 2]
        ),
        "depthwise convolution": lambda graph: graph.conv(
            _image(graph), (4, 8), (3, 3), group=4, strides=[2, 2], pads=[1, 1, 1, 1]
        ),
        "depthwise convolution with unlike strides": lambda graph: graph.conv(
            _image(graph), (4, 4), (3, 3), group=4, strides=[1, 2], pads=[1, 1, 1, 1]
        ),
        "convolution in groups": lambda graph: graph.conv(_image(graph), (4, 6), (3, 3), group=2, bias=False),
        "convolution of a sequence": lambda graph: graph.conv(graph.input("x", 1, 4, 9), (4, 6), (3,), strides=[2]),
        "pools": _pools,
        "a pool that rounds up": lambda graph: graph.node(
            "MaxPool", _features(graph), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1
        ),
        "matrices": _matrices,
        "attention": _attention,
        "sums of images and channels": _sums,
        "a slope a channel": lambda graph: graph.node(
            "PRelu", _features(graph), graph.constant(np.full((6, 1, 1), 0.2))
        ),
        "joined parts": _parts,
        "borders": _borders,
        "reductions": _reductions,
        "an enlarged image": lambda graph: graph.node(
            "Resize", _features(graph), "", graph.constant([1, 1, 2, 3]), mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        ),
        "a log of shares": lambda graph: graph.node("LogSoftmax", graph.gemm(graph.input("x", 1, 8), 8, 5), axis=-1),
        "shares": lambda graph: graph.node("Softmax", graph.gemm(graph.input("x", 1, 8), 8, 5), axis=-1),
    }  # fmt: skip
    for operator in _UNARY:
        made[operator] = lambda graph, operator=operator: graph.node(operator, _features(graph))
    for operator in _POSITIVE:
        made[operator] = lambda graph, operator=operator: graph.node(operator, graph.clip(_features(graph), 0.5, 6.0))
    models = {}
    for name, make in made.items():
        graph = OnnxGraph(len(models))
        models[name] = graph.model(make(graph))
    return models


def quantised() -> tuple[ir.Model, ir.Model]:
    """A float hub, and the same with pairs."""
    from edgefleet_compiler.quantise.calibrate import calibrate
    from edgefleet_compiler.quantise.integers import quantise
    from edgefleet_compiler.quantise.settings import Settings

    graph = OnnxGraph(5)
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 4, 9, 7), (4, 6), (3, 3), pads=[1, 1, 1, 1]))
    second = graph.node("Add", first, graph.conv(first, (6, 6), (1, 1)))
    pooled = graph.reshape(graph.node("GlobalAveragePool", second), 1, 6)
    hub = graph.model(graph.node("Softmax", graph.gemm(pooled, 6, 3), axis=-1))
    cases = [{"x": case[None]} for case in _inputs(hub)["x"]]
    return hub, quantise(hub, calibrate(hub, cases, lambda _: None), Settings())


def main() -> None:
    """Compare them all, and print what came of it."""
    from edgefleet_compiler.finetune.child.families import FAMILIES
    from edgefleet_compiler.finetune.child.rounding import stored_weights

    found = {name: _compared(model, model, {}) for name, model in graphs().items()}
    hub, rounded = quantised()
    found["pairs"] = _compared(hub, rounded, stored_weights(hub, rounded))
    operators = {node.op_type for model in (*graphs().values(), rounded) for node in model.graph}
    json.dump({"graphs": found, "untried": sorted(set(FAMILIES) - operators)}, sys.stdout)


def _compared(hub: ir.Model, model: ir.Model, names: dict[str, str]) -> dict[str, float | bool]:
    import tensorflow as tf

    from edgefleet_compiler.finetune.child.network import Network
    from edgefleet_compiler.finetune.trainable import weights_of
    from edgefleet_compiler.hub.session import Session

    inputs = _inputs(hub)
    session = Session(model, optimise=False)
    runs = [session.run({key: array[[case]] for key, array in inputs.items()}) for case in range(_CASES)]
    variables = {name: tf.Variable(array) for name, array in weights_of(hub.graph).items()}
    network = Network(model, variables, names)
    with tf.GradientTape() as tape:
        outputs = network.outputs([tf.constant(array) for array in inputs.values()])
        loss = tf.add_n([tf.reduce_sum(tf.square(output) * 0.7 + output) for output in outputs])
    gradients = tape.gradient(loss, list(variables.values()))
    differences = [
        float(np.abs(output.numpy() - np.concatenate([run[value.name or ""] for run in runs])).max())
        for value, output in zip(model.graph.outputs, outputs, strict=True)
    ]
    moved = [gradient is not None and bool(np.isfinite(gradient.numpy()).all()) for gradient in gradients]
    return {"difference": max(differences), "learns": all(moved), "weights": len(moved)}


def _inputs(model: ir.Model) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(9)
    return {
        value.name or "": generator.standard_normal((_CASES, *value.shape.numpy()[1:])).astype(np.float32)
        for value in model.graph.inputs
    }


def _image(graph: OnnxGraph) -> str:
    """Taken channels last, as from a TFLite source."""
    return graph.node("Transpose", graph.input("x", 1, 9, 7, 4), perm=[0, 3, 1, 2])


def _features(graph: OnnxGraph) -> str:
    return graph.conv(_image(graph), (4, 6), (3, 3), pads=[1, 1, 1, 1])


def _pools(graph: OnnxGraph) -> str:
    features = _features(graph)
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    pooled = [
        graph.node("MaxPool", features, **window),
        graph.node("AveragePool", features, **window),
        graph.node("AveragePool", features, **window, count_include_pad=1),
    ]
    joined = graph.node("Concat", *pooled, axis=1)
    return graph.node("Add", graph.node("GlobalAveragePool", joined), graph.node("GlobalMaxPool", joined))


def _matrices(graph: OnnxGraph) -> str:
    flat = graph.node("Flatten", _features(graph))
    rows = graph.reshape(graph.gemm(flat, 378, 12), 1, 3, 4)
    product = graph.node("Add", graph.node("MatMul", rows, graph.weights(4, 5)), graph.weights(5))
    return graph.node(
        "Gemm", graph.reshape(product, 1, 15), graph.weights(15, 2), graph.weights(2), alpha=0.5, beta=2.0
    )


def _attention(graph: OnnxGraph) -> str:
    values = graph.input("x", 1, 6, 8)
    normed = graph.node("LayerNormalization", values, graph.weights(8), graph.weights(8), axis=-1)
    heads = [
        graph.node(
            "Transpose", graph.reshape(graph.node("MatMul", normed, graph.weights(8, 8)), 1, 6, 2, 4), perm=order
        )
        for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    ]
    shares = graph.node("Softmax", graph.node("MatMul", heads[0], heads[1]), axis=-1)
    return graph.reshape(graph.node("Transpose", graph.node("MatMul", shares, heads[2]), perm=[0, 2, 1, 3]), 1, 6, 8)


def _sums(graph: OnnxGraph) -> str:
    features = _features(graph)
    gate = graph.node("Sigmoid", graph.conv(graph.node("GlobalAveragePool", features), (6, 6), (1, 1)))
    gated = graph.node("Mul", features, gate)
    shifted = graph.node("Sub", gated, graph.constant(np.linspace(0, 1, 6).reshape(6, 1, 1)))
    halved = graph.node("Div", shifted, graph.constant(2.0))
    between = graph.node("Min", graph.node("Max", halved, graph.constant(-0.5)), graph.constant(0.5))
    back = graph.node("Transpose", graph.node("Pow", between, graph.constant(2.0)), perm=[0, 2, 3, 1])
    return graph.node("Add", back, graph.input("y", 1, 9, 7, 6))


def _parts(graph: OnnxGraph) -> str:
    first = graph.node("Split", _features(graph), graph.constant([2, 4], np.int64), outputs=2, axis=1)
    turned = graph.node("Slice", f"{first}_1", *_integers(graph, [-1, 1], [-100, 100], [2, 1], [-1, 2]))
    rows = graph.node("Gather", graph.node("Concat", first, turned, axis=1), *_integers(graph, [0, -1, 2]), axis=2)
    flat = graph.node("Squeeze", graph.node("ReduceMean", rows, *_integers(graph, [3])), *_integers(graph, [3]))
    return graph.node("Unsqueeze", flat, *_integers(graph, [1]))


def _borders(graph: OnnxGraph) -> str:
    zeros = graph.node("Pad", _features(graph), *_integers(graph, [0, 0, 1, 2, 0, 0, 0, 1]), graph.constant(0.5))
    mirrored = graph.node("Pad", zeros, *_integers(graph, [2, 0, 1, 1]), "", *_integers(graph, [2, 3]), mode="reflect")
    back = graph.node("Transpose", mirrored, perm=[0, 2, 3, 1])
    return graph.node("Pad", back, *_integers(graph, [0, 0, 0, 1, 0, 1, 0, 0]))


def _reductions(graph: OnnxGraph) -> str:
    features = _features(graph)
    reduced = [
        graph.node("ReduceMean", features, *_integers(graph, [2, 3]), keepdims=1),
        graph.node("ReduceMax", features, *_integers(graph, [2, 3]), keepdims=1),
        graph.node("ReduceMin", features, *_integers(graph, [-1, -2]), keepdims=1),
    ]
    joined = graph.node("Concat", *reduced, axis=1)
    return graph.node("ReduceSum", joined, *_integers(graph, [2, 3]), keepdims=0)


def _integers(graph: OnnxGraph, *arrays: list[int]) -> list[str]:
    return [graph.constant(array, np.int64) for array in arrays]


if __name__ == "__main__":
    main()
