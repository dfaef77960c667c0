"""Random float TFLite networks: LiteRT runs what is written, and the hub computes what LiteRT does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import TfliteGraph, assert_close, random_inputs, run_litert, run_onnx

pytestmark = pytest.mark.property

ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
LAYERS = st.sampled_from(
    ["conv", "grouped", "depthwise", "max_pool", "average_pool", "pad", "activation", "residual", "join", "cut", "turn"]
)


def windows(extent: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """How many windows fit, counted one by one."""
    reach = (kernel - 1) * dilation + 1
    if padding == "SAME":
        return len(range(0, extent, stride))
    return len([start for start in range(0, extent, stride) if start + reach <= extent])


class RandomNetwork:
    """A network that grows layer by layer from hypothesis's draws; ``top`` is the last image."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.builder = TfliteGraph(seed=draw(st.integers(0, 2**16)))
        extents = st.integers(3, 9)
        self.top = self.builder.input((1, draw(extents), draw(extents), draw(st.sampled_from([1, 2, 4]))))

    @property
    def image(self) -> tuple[int, int, int]:
        _, rows, columns, channels = self.builder.shape(self.top)
        return rows, columns, channels

    def weights(self, *shape: int) -> str:
        """Weights scaled by their fan-in, so that values stay near one through many layers."""
        spread = 1 / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 4)
        return self.builder.constant(self.builder.random.normal(0, spread, shape), np.float32)

    def window(self, *, dilated: bool) -> tuple[dict[str, Any], tuple[int, int], tuple[int, int]]:
        """Options, kernel and output extents of a window that fits."""
        rows, columns, _ = self.image
        padding = self.draw(st.sampled_from(["SAME", "VALID"]))
        strides = [self.draw(st.integers(1, 3)) for _ in range(2)]
        dilations = [self.draw(st.integers(1, 2)) if dilated and strides == [1, 1] else 1 for _ in range(2)]
        kernel = [
            self.draw(st.integers(1, max(1, min(4, (extent - 1) // dilation + 1))))
            for extent, dilation in zip((rows, columns), dilations, strict=True)
        ]
        options: dict[str, Any] = {"padding": padding, "stride_h": strides[0], "stride_w": strides[1]}
        if dilated:
            options |= {"dilation_h_factor": dilations[0], "dilation_w_factor": dilations[1]}
        outputs = [
            windows(*arguments, padding) for arguments in zip((rows, columns), kernel, strides, dilations, strict=True)
        ]
        options["fused_activation_function"] = self.draw(ACTIVATIONS)
        return options, (kernel[0], kernel[1]), (outputs[0], outputs[1])

    def conv(self, groups: int = 1) -> None:
        channels, outputs = self.image[2], self.draw(st.sampled_from([2, 4, 6]))
        options, kernel, extents = self.window(dilated=True)
        operands = [self.top, self.weights(outputs, *kernel, channels // groups), self.weights(outputs)]
        self.top = self.builder.add("CONV_2D", operands, (1, *extents, outputs), **options)

    def grouped(self) -> None:
        self.conv(groups=2 if self.image[2] % 2 == 0 else 1)

    def depthwise(self) -> None:
        channels, multiplier = self.image[2], self.draw(st.integers(1, 2))
        options, kernel, extents = self.window(dilated=True)
        operands = [self.top, self.weights(1, *kernel, channels * multiplier), self.weights(channels * multiplier)]
        shape = (1, *extents, channels * multiplier)
        self.top = self.builder.add("DEPTHWISE_CONV_2D", operands, shape, depth_multiplier=multiplier, **options)

    def pool(self, kind: str) -> None:
        options, kernel, extents = self.window(dilated=False)
        options |= {"filter_height": kernel[0], "filter_width": kernel[1]}
        self.top = self.builder.add(kind, [self.top], (1, *extents, self.image[2]), **options)

    def max_pool(self) -> None:
        self.pool("MAX_POOL_2D")

    def average_pool(self) -> None:
        self.pool("AVERAGE_POOL_2D")

    def pad(self) -> None:
        amounts = [[0, 0], *([self.draw(st.integers(0, 2)) for _ in range(2)] for _ in range(2)), [0, 0]]
        shape = tuple(extent + sum(pair) for extent, pair in zip(self.builder.shape(self.top), amounts, strict=True))
        self.top = self.builder.add("PAD", [self.top, self.builder.indices(*amounts)], shape)

    def activation(self) -> None:
        kind = self.draw(st.sampled_from(["RELU", "RELU6", "LOGISTIC", "TANH", "LEAKY_RELU"]))
        options = {"alpha": 0.25} if kind == "LEAKY_RELU" else {}
        self.top = self.builder.add(kind, [self.top], self.builder.shape(self.top), **options)

    def residual(self) -> None:
        shape, before = self.builder.shape(self.top), self.top
        operands = [self.top, self.weights(shape[3], 3, 3, shape[3]), self.weights(shape[3])]
        branch = self.builder.add("CONV_2D", operands, shape, padding="SAME", stride_h=1, stride_w=1)
        kind = self.draw(st.sampled_from(["ADD", "SUB", "MUL"]))
        self.top = self.builder.add(kind, [before, branch], shape, fused_activation_function=self.draw(ACTIVATIONS))

    def join(self) -> None:
        shape = list(self.builder.shape(self.top))
        axis = self.draw(st.integers(1, 3))
        shape[axis] *= 2
        self.top = self.builder.add("CONCATENATION", [self.top, self.top], tuple(shape), axis=axis)

    def cut(self) -> None:
        rows, columns, channels = self.image
        if rows < 2:
            return
        operands = [self.top, self.builder.indices(0, 1, 0, 0), self.builder.indices(1, rows - 1, columns, channels)]
        self.top = self.builder.add("SLICE", operands, (1, rows - 1, columns, channels))

    def turn(self) -> None:
        rows, columns, channels = self.image
        self.top = self.builder.add(
            "TRANSPOSE", [self.top, self.builder.indices(0, 2, 1, 3)], (1, columns, rows, channels)
        )

    def head(self) -> str:
        rows, columns, channels = self.image
        if self.draw(st.booleans()):
            features = channels
            flat = self.builder.add("MEAN", [self.top, self.builder.indices(1, 2)], (1, features), keep_dims=False)
        else:
            features = rows * columns * channels
            flat = self.builder.add("RESHAPE", [self.top, self.builder.indices(1, features)], (1, features))
        operands = [flat, self.weights(5, features), self.weights(5)]
        logits = self.builder.add("FULLY_CONNECTED", operands, (1, 5), fused_activation_function=self.draw(ACTIVATIONS))
        return self.builder.add("SOFTMAX", [logits], (1, 5), beta=self.draw(st.sampled_from([1.0, 0.5])))


@st.composite
def networks(draw: st.DrawFn) -> LoweredGraph:
    """Float networks of up to six layers and a head, with the last image as a second output."""
    network = RandomNetwork(draw)
    for layer in draw(st.lists(LAYERS, min_size=1, max_size=6)):
        getattr(network, layer)()
    image = network.top
    return network.builder.graph(network.head(), *([] if image == "input" else [image]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=networks(), seed=st.integers(0, 2**16))
def test_random_networks_survive_the_file_and_compute_the_same_in_the_hub(graph: LoweredGraph, seed: int) -> None:
    data = write_tflite(graph)
    assert write_tflite(read_tflite(data)) == data
    inputs = random_inputs(graph, seed)
    ours = run_onnx(import_tflite(data), inputs)
    for resolver in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
        assert_close(ours, run_litert(data, inputs, resolver))
