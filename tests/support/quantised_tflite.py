"""Small TFLite models that are quantised already: int8 of most operators, the uint8 of old, and one with states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgefleet_compiler.lowered.graph import LoweredGraph, Quantisation, Tensor
from support.tflite_graphs import TfliteGraph, per_channel, per_tensor

_STRIDES = {"stride_h": 1, "stride_w": 1}
_WINDOW = {"padding": "VALID", "filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2}


def int8_network(seed: int = 0, *, per_channel_weights: bool = True) -> LoweredGraph:
    """Convolutions, a residual, pools, padding, joining, mean, two dense layers, activations; 8 x 8 x 3 in."""
    graph = TfliteGraph(seed)
    image = graph.input((1, 8, 8, 3), np.int8, per_tensor(0.02, -3))
    stem = _convolution(graph, image, (6, 3, 3, 3), (0.02, 0.06), -10, per_channel_weights, padding="SAME")
    depth = _convolution(
        graph, stem, (1, 3, 3, 6), (0.06, 0.05), -128, per_channel_weights, padding="SAME",
        fused_activation_function="RELU", depth_multiplier=1,
    )  # fmt: skip
    joined = graph.add("ADD", [stem, depth], (1, 8, 8, 6), np.int8, per_tensor(0.08, -20))
    scaled = graph.add("MUL", [joined, depth], (1, 8, 8, 6), np.int8, per_tensor(0.1, 4))
    padded = graph.add(
        "PAD", [scaled, graph.indices((0, 0), (1, 1), (1, 1), (0, 0))], (1, 10, 10, 6), np.int8, per_tensor(0.1, 4)
    )
    largest = graph.add("MAX_POOL_2D", [padded], (1, 5, 5, 6), np.int8, per_tensor(0.1, 4), **_WINDOW)
    means = graph.add("AVERAGE_POOL_2D", [padded], (1, 5, 5, 6), np.int8, per_tensor(0.1, 4), **_WINDOW)
    both = graph.add("CONCATENATION", [largest, means], (1, 5, 5, 12), np.int8, per_tensor(0.1, 4), axis=3)
    gates = graph.add("LOGISTIC", [both], (1, 5, 5, 12), np.int8, per_tensor(1 / 256, -128))
    gated = graph.add("MUL", [both, gates], (1, 5, 5, 12), np.int8, per_tensor(0.1, -60))
    pooled = graph.add("MEAN", [gated, graph.indices(1, 2)], (1, 12), np.int8, per_tensor(0.02, -100), keep_dims=False)
    hidden = _dense(graph, pooled, 8, (0.02, 0.05), 5)
    logits = _dense(graph, hidden, 4, (0.05, 0.1), -7)
    return graph.graph(graph.add("SOFTMAX", [logits], (1, 4), np.int8, per_tensor(1 / 256, -128), beta=1.0))


def uint8_network(seed: int = 0, weight_zero_point: int = 128) -> LoweredGraph:
    """The same as TFLite quantised until 2019: uint8 throughout, weights per tensor with a zero point of their own."""
    graph = int8_network(seed, per_channel_weights=False)
    weights = {name for operator in graph.operators for name in operator.inputs[1:2] if operator.kind in _WEIGHTED}
    for tensor in list(graph.tensors.values()):
        if tensor.dtype == np.int8 and tensor.quantisation is not None:
            origin = weight_zero_point if tensor.name in weights else 128
            graph.tensors[tensor.name] = _unsigned(tensor, origin)
    return graph


def memory_network(seed: int = 0) -> LoweredGraph:
    """SVDF of rank 2 over six steps, a dense layer and a softmax; 16 features in, states within."""
    graph = TfliteGraph(seed)
    features = graph.input((1, 16), np.int8, per_tensor(0.05, 3))
    spread = graph.constant(graph.random.integers(-127, 128, (8, 16)), np.int8, per_tensor(0.01))
    over_time = graph.constant(graph.random.integers(-9000, 9000, (8, 6)), np.int16, per_tensor(0.0001))
    bias = graph.constant(graph.random.integers(-4000, 4000, 4), np.int32, per_tensor(0.002 * 0.0001))
    state = graph.state((1, 48), np.int16, per_tensor(0.002))
    seen = graph.add(
        "SVDF", [features, spread, over_time, bias, state], (1, 4), np.int8, per_tensor(0.08, -128),
        rank=2, fused_activation_function="RELU",
    )  # fmt: skip
    logits = _dense(graph, seen, 3, (0.08, 0.1), 2)
    return graph.graph(graph.add("SOFTMAX", [logits], (1, 3), np.int8, per_tensor(1 / 256, -128), beta=1.0))


_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def _convolution(
    graph: TfliteGraph,
    image: str,
    shape: tuple[int, int, int, int],
    scales: tuple[float, float],
    zero_point: int,
    per_channel_weights: bool,
    **options: Any,
) -> str:
    """A convolution whose output has the given scale and zero point; depthwise where the weights are 1, H, W, O."""
    depthwise = shape[0] == 1
    channels = shape[3] if depthwise else shape[0]
    steps = [0.003 + 0.001 * (channel % 3) for channel in range(channels)] if per_channel_weights else [0.004]
    of_weights = per_channel(steps, 3 if depthwise else 0) if per_channel_weights else per_tensor(steps[0])
    weights = graph.constant(graph.random.integers(-60, 61, shape), np.int8, of_weights)
    products = [scales[0] * step for step in steps]
    of_bias = per_channel(products, 0) if per_channel_weights else per_tensor(products[0])
    bias = graph.constant(graph.random.integers(-900, 900, channels), np.int32, of_bias)
    return graph.add(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [image, weights, bias],
        (*graph.shape(image)[:3], channels),
        np.int8,
        per_tensor(scales[1], zero_point),
        **_STRIDES,
        **options,
    )


def _dense(graph: TfliteGraph, value: str, outputs: int, scales: tuple[float, float], zero_point: int) -> str:
    features = graph.shape(value)[1]
    weights = graph.constant(graph.random.integers(-60, 61, (outputs, features)), np.int8, per_tensor(0.02))
    bias = graph.constant(graph.random.integers(-200, 200, outputs), np.int32, per_tensor(scales[0] * 0.02))
    parameters = per_tensor(scales[1], zero_point)
    return graph.add("FULLY_CONNECTED", [value, weights, bias], (1, outputs), np.int8, parameters)


def _unsigned(tensor: Tensor, origin: int) -> Tensor:
    """A tensor of int8 as uint8, its zero point moved by ``origin``."""
    assert tensor.quantisation is not None
    quantisation = Quantisation(tensor.quantisation.scale, tensor.quantisation.zero_point + origin)
    data = None if tensor.data is None else (tensor.data.astype(np.int16) + origin).astype(np.uint8)
    return replace(tensor, dtype=np.dtype(np.uint8), quantisation=quantisation, data=data)
