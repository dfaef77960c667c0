"""A layer of each operator that has a form in integers, between two convolutions, quantised and exported both ways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.parameters import IntegerType
from edgefleet_compiler.quantise.settings import Settings
from support.exports import random_inputs, run_hub
from support.onnx_graphs import OnnxGraph

Layer = Callable[[OnnxGraph, str], str]
CHANNELS = 8
CASES = 8


def _split(graph: OnnxGraph, image: str) -> str:
    first = graph.node("Split", image, outputs=2, axis=1, num_outputs=2)
    return graph.node("Concat", f"{first}_1", first, axis=1)


def _gemm(graph: OnnxGraph, image: str) -> str:
    return graph.reshape(graph.gemm(graph.reshape(image, 1, 128), 128, 24), 1, 8, 3, 1)


def _products(graph: OnnxGraph, image: str) -> str:
    return graph.node("MatMul", image, graph.node("Transpose", image, perm=[0, 1, 3, 2]))


LAYERS: dict[str, Layer] = {
    "Add": lambda graph, image: graph.node("Add", image, graph.node("Sigmoid", image)),
    "Add a constant": lambda graph, image: graph.node("Add", image, graph.weights(8, 4, 4)),
    "AveragePool": lambda graph, image: graph.node("AveragePool", image, kernel_shape=[2, 2], strides=[2, 2]),
    "Clip": lambda graph, image: graph.clip(graph.node("MaxPool", image, kernel_shape=[2, 2]), -0.4, 0.6),
    "Clip to 6": lambda graph, image: graph.clip(graph.node("MaxPool", image, kernel_shape=[2, 2]), 0, 6),
    "Clip to -1..1": lambda graph, image: graph.clip(graph.node("MaxPool", image, kernel_shape=[2, 2]), -1, 1),
    "Clip to 0..1": lambda graph, image: graph.clip(graph.node("MaxPool", image, kernel_shape=[2, 2]), 0, 1),
    "Concat": lambda graph, image: graph.node("Concat", image, graph.node("Relu", image), axis=1),
    "Conv": lambda graph, image: graph.conv(image, (8, 8), (3, 3), pads=[1, 1, 1, 1]),
    "Conv in groups": lambda graph, image: graph.conv(image, (8, 8), (3, 3), group=2),
    "Conv of each channel": lambda graph, image: graph.conv(image, (8, 8), (3, 3), group=8, bias=False),
    "DepthToSpace": lambda graph, image: graph.node("DepthToSpace", image, blocksize=2),
    "Expand": lambda graph, image: graph.node("Expand", _pooled(graph, image), graph.constant([1, 8, 2, 2], np.int64)),
    "Gather": lambda graph, image: graph.node("Gather", image, graph.constant([2, 0, -1], np.int64), axis=1),
    "Gelu": lambda graph, image: graph.node("Gelu", image),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda graph, image: graph.node("GlobalAveragePool", image),
    "HardSwish": lambda graph, image: graph.node("HardSwish", image),
    "LeakyRelu": lambda graph, image: graph.node("LeakyRelu", image, alpha=0.2),
    "MatMul": _products,
    "MatMul by a constant": lambda graph, image: graph.node("MatMul", image, graph.weights(4, 5, fan_in=4)),
    "Max": lambda graph, image: graph.node("Max", image, graph.node("Sigmoid", image)),
    "MaxPool": lambda graph, image: graph.node("MaxPool", image, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "Min": lambda graph, image: graph.node("Min", image, graph.weights(8, 1, 1)),
    "Mul": lambda graph, image: graph.node("Mul", image, graph.node("Sigmoid", image)),
    "Pad": lambda graph, image: graph.node(
        "LeakyRelu", graph.node("Pad", image, graph.constant([0, 0, 1, 1, 0, 0, 0, 2], np.int64)), alpha=0.2
    ),
    "Pad with a number": lambda graph, image: graph.node(
        "Pad", image, graph.constant([0, 0, 1, 1, 0, 0, 0, 2], np.int64), graph.constant(0.5)
    ),
    "ReduceMax": lambda graph, image: graph.node("ReduceMax", image, graph.constant([2, 3], np.int64)),
    "ReduceMean": lambda graph, image: graph.node("ReduceMean", image, graph.constant([3], np.int64)),
    "ReduceMin": lambda graph, image: graph.node("ReduceMin", image, graph.constant([3], np.int64)),
    "Relu": lambda graph, image: graph.node("Relu", graph.node("MaxPool", image, kernel_shape=[2, 2])),
    "Reshape": lambda graph, image: graph.reshape(image, 1, 8, 2, 8),
    "Resize": lambda graph, image: graph.node(
        "Resize", image, "", graph.constant([1, 1, 2, 2]), mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    ),
    "Sigmoid": lambda graph, image: graph.node("Sigmoid", image),
    "Slice": lambda graph, image: graph.node(
        "Slice", image, *(graph.constant([number], np.int64) for number in (1, 4, 2))
    ),
    "Softmax": lambda graph, image: graph.node("Softmax", image, axis=1),
    "SpaceToDepth": lambda graph, image: graph.node("SpaceToDepth", image, blocksize=2),
    "Split": _split,
    "Sub": lambda graph, image: graph.node("Sub", image, graph.node("Tanh", image)),
    "Tanh": lambda graph, image: graph.node("Tanh", image),
    "Tile": lambda graph, image: graph.node("Tile", image, graph.constant([1, 1, 2, 1], np.int64)),
    "Transpose": lambda graph, image: graph.node("Transpose", image, perm=[0, 1, 3, 2]),
}  # fmt: skip
"""Layers by what they do; the first word is the operator. They read an image of 1, 8, 4, 4 of either sign."""


def _pooled(graph: OnnxGraph, image: str) -> str:
    return graph.node("MaxPool", image, kernel_shape=[4, 1], strides=[1, 4])


def net_of(name: str) -> ir.Model:
    """The layer behind a convolution and before one, in hub normal form."""
    graph = OnnxGraph(seed=3)
    image = graph.conv(graph.input("x", 1, 3, 6, 6), (3, CHANNELS), (3, 3))
    layer = LAYERS[name](graph, image)
    probe = graph.model(layer)
    channels = int(run_shape(probe)[1])
    model = graph.model(graph.conv(layer, (channels, 4), (1, 1)))
    simplify(model)
    return model


def run_shape(model: ir.Model) -> tuple[int, ...]:
    """The shape of the first output."""
    return tuple(run_hub(model, random_inputs(model))[0].shape)


def cases_of(model: ir.Model) -> list[list[NDArray[np.generic]]]:
    """Inputs, of which all are calibrated with."""
    return [random_inputs(model, seed) for seed in range(CASES)]


def quantised_net(model: ir.Model, activations: IntegerType, settings: Settings | None = None) -> ir.Model:
    """The net with pairs, calibrated on ``cases_of`` it."""
    names = [str(value.name) for value in model.graph.inputs]
    samples = [dict(zip(names, case, strict=True)) for case in cases_of(model)]
    return quantise(model, calibrate(model, samples, lambda _: None), settings or Settings(), activations)
