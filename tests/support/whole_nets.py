"""Small whole networks with seeded random weights, written as PyTorch's exporter writes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from support.onnx_graphs import OnnxGraph

STEPS, FEATURES, HIDDEN = 12, 8, 16
TOKENS, WIDTH, HEADS = 10, 32, 4
IMAGE = 32


def lstm_net(seed: int = 0) -> onnx.ModelProto:
    """A sequence (1, 12, 8) to five probabilities: LSTM, its last state, a layer, a softmax."""
    graph = OnnxGraph(seed)
    steps = graph.node("Transpose", graph.input("x", 1, STEPS, FEATURES), perm=[1, 0, 2])
    recurrent = _recurrent(graph, "LSTM", 4, 1)
    layer = graph.node("LSTM", steps, *recurrent, outputs=2, hidden_size=HIDDEN)
    last = graph.reshape(f"{layer}_1", 1, HIDDEN)
    return graph.proto(graph.node("Softmax", graph.gemm(last, HIDDEN, 5), axis=1))


def gru_net(seed: int = 0) -> onnx.ModelProto:
    """A sequence (1, 12, 8) to a vector of three at each step: GRU in both directions, a layer over each step."""
    graph = OnnxGraph(seed)
    steps = graph.node("Transpose", graph.input("x", 1, STEPS, FEATURES), perm=[1, 0, 2])
    recurrent = _recurrent(graph, "GRU", 3, 2)
    layer = graph.node(
        "GRU", steps, *recurrent, outputs=2, hidden_size=HIDDEN, direction="bidirectional", linear_before_reset=1
    )
    both = graph.reshape(graph.node("Transpose", layer, perm=[0, 2, 1, 3]), STEPS, 1, 2 * HIDDEN)
    batch_first = graph.node("Transpose", both, perm=[1, 0, 2])
    product = graph.node("MatMul", batch_first, graph.weights(2 * HIDDEN, 3, fan_in=2 * HIDDEN))
    return graph.proto(graph.node("Add", product, graph.weights(3)))


def transformer_block(seed: int = 0) -> onnx.ModelProto:
    """Tokens (1, 10, 32) to the same shape: attention of four heads and two layers with GELU, each on a residual."""
    graph = OnnxGraph(seed)
    tokens = graph.input("x", 1, TOKENS, WIDTH)
    tokens = graph.node("Add", tokens, _attention(graph, _layer_norm(graph, tokens)))
    wide = _gelu(graph, _dense(graph, _layer_norm(graph, tokens), WIDTH, 4 * WIDTH))
    return graph.proto(graph.node("Add", tokens, _dense(graph, wide, 4 * WIDTH, WIDTH)))


def unet(seed: int = 0, *, upsampling: str = "transposed") -> onnx.ModelProto:
    """An image (1, 3, 32, 32) to two channels of the same size, by two levels down and up with skips.

    Args:
        seed: Of the weights.
        upsampling: ``transposed`` for ConvTranspose; ``nearest`` or ``linear`` for Resize.
    """
    graph = OnnxGraph(seed)
    level, skips, channels = graph.input("x", 1, 3, IMAGE, IMAGE), [], 3
    for width in (8, 16):
        level = _block(graph, level, channels, width)
        skips.append((level, width))
        level, channels = graph.node("MaxPool", level, kernel_shape=[2, 2], strides=[2, 2]), width
    level, channels = _block(graph, level, channels, 32), 32
    for skip, width in reversed(skips):
        up = _upsampled(graph, level, channels, width, upsampling)
        joined = graph.node("Concat", up, skip, axis=1)
        level, channels = _block(graph, joined, 2 * width, width), width
    return graph.proto(graph.conv(level, (channels, 2), (1, 1)))


WHOLE_NETS: dict[str, Callable[[], onnx.ModelProto]] = {
    "lstm": lstm_net,
    "gru": gru_net,
    "transformer": transformer_block,
    "unet-transposed": lambda: unet(upsampling="transposed"),
    "unet-nearest": lambda: unet(upsampling="nearest"),
    "unet-linear": lambda: unet(upsampling="linear"),
}


def _recurrent(graph: OnnxGraph, operator: str, gates: int, directions: int) -> list[str]:
    """Weights, recurrent weights and biases."""
    rows = gates * HIDDEN
    return [
        graph.weights(directions, rows, FEATURES, fan_in=FEATURES),
        graph.weights(directions, rows, HIDDEN, fan_in=HIDDEN),
        graph.weights(directions, 2 * rows, fan_in=16),
    ]


def _dense(graph: OnnxGraph, tokens: str, inputs: int, outputs: int) -> str:
    product = graph.node("MatMul", tokens, graph.weights(inputs, outputs, fan_in=inputs))
    return graph.node("Add", graph.weights(outputs, fan_in=outputs), product)


def _layer_norm(graph: OnnxGraph, tokens: str) -> str:
    scale = graph.constant(graph.random.uniform(0.5, 1.5, WIDTH))
    return graph.node("LayerNormalization", tokens, scale, graph.weights(WIDTH, fan_in=WIDTH), axis=-1)


def _attention(graph: OnnxGraph, tokens: str) -> str:
    query, key, value = (
        graph.reshape(_dense(graph, tokens, WIDTH, WIDTH), 1, TOKENS, HEADS, WIDTH // HEADS) for _ in range(3)
    )
    query, value = (graph.node("Transpose", heads, perm=[0, 2, 1, 3]) for heads in (query, value))
    key = graph.node("Transpose", key, perm=[0, 2, 3, 1])
    scores = graph.node("Div", graph.node("MatMul", query, key), graph.constant(np.sqrt(WIDTH // HEADS)))
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    joined = graph.reshape(graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), 1, TOKENS, WIDTH)
    return _dense(graph, joined, WIDTH, WIDTH)


def _gelu(graph: OnnxGraph, tokens: str) -> str:
    """As exporters wrote it before there was an operator: x * (1 + erf(x / sqrt(2))) / 2."""
    erf = graph.node("Erf", graph.node("Div", tokens, graph.constant(np.sqrt(2))))
    doubled = graph.node("Mul", tokens, graph.node("Add", erf, graph.constant(1.0)))
    return graph.node("Mul", doubled, graph.constant(0.5))


def _block(graph: OnnxGraph, image: str, inputs: int, outputs: int) -> str:
    """Two convolutions with batch normalisation and Relu."""
    for channels in (inputs, outputs):
        image = graph.conv(image, (channels, outputs), (3, 3), pads=[1, 1, 1, 1])
        statistics = [graph.constant(graph.random.uniform(0.5, 1.5, outputs)) for _ in range(4)]
        image = graph.node("Relu", graph.node("BatchNormalization", image, *statistics))
    return image


def _upsampled(graph: OnnxGraph, image: str, inputs: int, outputs: int, kind: str) -> str:
    if kind == "transposed":
        weights = graph.weights(inputs, outputs, 2, 2, fan_in=inputs)
        return graph.node("ConvTranspose", image, weights, graph.weights(outputs), strides=[2, 2], kernel_shape=[2, 2])
    coordinates = {"nearest": "asymmetric", "linear": "half_pixel"}[kind]
    rounding = {"nearest_mode": "floor"} if kind == "nearest" else {}
    scales = graph.constant([1, 1, 2, 2])
    wide = graph.node("Resize", image, "", scales, mode=kind, coordinate_transformation_mode=coordinates, **rounding)
    return graph.conv(wide, (inputs, outputs), (1, 1))
