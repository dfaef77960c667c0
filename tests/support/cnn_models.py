"""Random convolutional networks, drawn by hypothesis: odd sizes, any stride, padding, dilation and group, branches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, gcd
from typing import TypeVar

import onnx
from hypothesis import strategies as st

from support.onnx_graphs import OnnxGraph

Choice = TypeVar("Choice")

LARGEST = 3000
"""Elements of an image beyond which no more channels are drawn, so that an example takes milliseconds."""


@dataclass(frozen=True)
class Image:
    """A value of the network."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Axis:
    """A window that slides along one axis: everything that places it."""

    extent: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def travel(self) -> int:
        """How far the window can be moved."""
        return self.extent + self.before + self.after - (self.kernel - 1) * self.dilation - 1

    @property
    def outputs(self) -> int:
        """How many places the window has."""
        return self.travel // self.stride + 1

    @property
    def outputs_rounded_up(self) -> int:
        """How many it has with ceil_mode; 0 where onnx counts a window in the padding that onnxruntime does not."""
        last = ceil(self.travel / self.stride)
        return last + 1 if last * self.stride < self.extent + self.before else 0


class CnnDrawer:
    """Draws a network layer by layer; ``draw`` is hypothesis's."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.graph = OnnxGraph(draw(st.integers(0, 2**16), label="seed"))

    def network(self) -> onnx.ModelProto:
        """A network of one to five layers and a head."""
        channels, height, width = self._one_of((1, 2, 3, 4)), self._one_of(range(5, 18)), self._one_of(range(5, 18))
        image = Image(self.graph.input("x", 1, channels, height, width), channels, height, width)
        image = self._convolution(image)
        layers = (self._convolution, self._pool, self._residual, self._branches, self._pad, self._slice)
        for _ in range(self._one_of(range(5))):
            image = self._one_of(layers)(image)
        return self.graph.proto(self._head(image))

    def _one_of(self, choices: Iterable[Choice]) -> Choice:
        return self.draw(st.sampled_from(list(choices)))

    def _convolution(self, image: Image, *, keep_size: bool = False) -> Image:
        outputs = self._one_of((1, 2, 3, 4, 6, 8)) if image.height * image.width * 8 < LARGEST else 2
        groups = self._one_of((1, gcd(image.channels, outputs), image.channels))
        if outputs % groups:
            outputs = groups * self._one_of((1, 2))
        down, right = (self._axis(extent, keep_size=keep_size) for extent in (image.height, image.width))
        name = self.graph.conv(
            image.name,
            (image.channels, outputs),
            (down.kernel, right.kernel),
            bias=self._one_of((True, True, False)),
            dilations=[down.dilation, right.dilation],
            group=groups,
            **_window(down, right),
        )
        if self._one_of((True, False)):
            name = self._batch_norm(name, outputs)
        return Image(self._activation(name), outputs, down.outputs, right.outputs)

    def _axis(self, extent: int, *, keep_size: bool = False, dilated: bool = True) -> Axis:
        """A window along an axis that has at least one place on it."""
        kernel = min(self._one_of(range(1, 6)), extent)
        before = self._one_of(range(kernel))
        if keep_size:
            return Axis(extent, kernel, 1, 1, before, kernel - 1 - before)
        dilation, stride = self._one_of((1, 1, 2, 3)) if dilated else 1, self._one_of((1, 1, 2, 3))
        least = (kernel - 1) * dilation + 1 - extent - before
        return Axis(extent, kernel, stride, dilation, before, max(self._one_of(range(kernel)), least))

    def _batch_norm(self, name: str, channels: int) -> str:
        random = self.graph.random
        scale, variance = (self.graph.constant(random.uniform(0.5, 1.5, channels)) for _ in range(2))
        shift, mean = (self.graph.constant(random.normal(0, 0.3, channels)) for _ in range(2))
        return self.graph.node("BatchNormalization", name, scale, shift, mean, variance)

    def _activation(self, name: str) -> str:
        kind = self._one_of(("none", "Relu", "clip6", "clip"))
        if kind == "none":
            return name
        if kind == "Relu":
            return self.graph.node("Relu", name)
        return self.graph.clip(name, *((0, 6) if kind == "clip6" else (-0.8, 1.1)))

    def _pool(self, image: Image) -> Image:
        kind = self._one_of(("MaxPool", "AveragePool"))
        down, right = (self._axis(extent, dilated=False) for extent in (image.height, image.width))
        attributes = {"count_include_pad": self._one_of((0, 1))} if kind == "AveragePool" else {}
        height, width = down.outputs, right.outputs
        if self._one_of((True, False)) and down.outputs_rounded_up and right.outputs_rounded_up:
            height, width = down.outputs_rounded_up, right.outputs_rounded_up
            attributes["ceil_mode"] = 1
        kernel = [down.kernel, right.kernel]
        name = self.graph.node(kind, image.name, kernel_shape=kernel, **_window(down, right), **attributes)
        return Image(name, image.channels, height, width)

    def _residual(self, image: Image) -> Image:
        branch = self._convolution(image, keep_size=True)
        shortcut, channels = image.name, max(image.channels, branch.channels)
        if branch.channels not in {1, image.channels}:
            shortcut = self.graph.conv(image.name, (image.channels, branch.channels), (1, 1))
            channels = branch.channels
        joined = self.graph.node(self._one_of(("Add", "Add", "Mul", "Sub")), shortcut, branch.name)
        return Image(self._activation(joined), channels, image.height, image.width)

    def _branches(self, image: Image) -> Image:
        branches = [self._convolution(image, keep_size=True) for _ in range(2)]
        name = self.graph.node("Concat", *(branch.name for branch in branches), axis=1)
        return Image(name, sum(branch.channels for branch in branches), image.height, image.width)

    def _pad(self, image: Image) -> Image:
        top, left, bottom, right = (self._one_of(range(3)) for _ in range(4))
        amounts = self.graph.constant([0, 0, top, left, 0, 0, bottom, right], int)
        name = self.graph.node("Pad", image.name, amounts)
        # No pool behind it: onnxruntime fuses the two wrongly, or fails to load them (its optimiser "Pad_Fusion").
        return self._convolution(Image(name, image.channels, image.height + top + bottom, image.width + left + right))

    def _slice(self, image: Image) -> Image:
        start, step = self._one_of(((0, 1), (0, 2), (-1, -1)))
        bounds = [start], [1000 * step], [2], [step]
        name = self.graph.node("Slice", image.name, *(self.graph.constant(array, int) for array in bounds))
        return Image(name, image.channels, ceil(image.height / abs(step)), image.width)

    def _head(self, image: Image) -> str:
        kind = self._one_of(("image", "flatten", "mean", "global", "softmax"))
        if kind == "image":
            return image.name
        if kind == "flatten":
            size = image.channels * image.height * image.width
            return self._dense(self.graph.node("Flatten", image.name), size)
        if kind == "mean":
            return self.graph.node("ReduceMean", image.name, self.graph.constant([2, 3], int), keepdims=0)
        pooled = self.graph.node("Flatten", self.graph.node("GlobalAveragePool", image.name))
        logits = self._dense(pooled, image.channels)
        return logits if kind == "global" else self.graph.node("Softmax", logits, axis=1)

    def _dense(self, rows: str, inputs: int) -> str:
        weights = self.graph.weights(inputs, 7, fan_in=inputs)
        biases = self.graph.constant(self.graph.random.normal(size=7))
        return self.graph.node("Add", self.graph.node("MatMul", rows, weights), biases)


def _window(*axes: Axis) -> dict[str, list[int]]:
    """The attributes of a Conv or pool that slides along these axes."""
    return {
        "strides": [axis.stride for axis in axes],
        "pads": [axis.before for axis in axes] + [axis.after for axis in axes],
    }


@st.composite
def cnns(draw: st.DrawFn) -> onnx.ModelProto:
    """A random convolutional network as an exporter would write it: batch norms, Flatten, MatMul and Add."""
    return CnnDrawer(draw).network()
