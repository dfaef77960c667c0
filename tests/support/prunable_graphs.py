"""Small int8 graphs with dead, constant and unread channels; scales are powers of two, so that ties abound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgefleet_compiler.emulate.emulator import Emulator
from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.lossless.prune import Pruned
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import Array, TfliteGraph, per_channel, per_tensor

_WEIGHTS = 2.0**-6
_FAR_BELOW = -(1 << 20)  # a bias that no sum makes up for


class PrunableNet:
    """An int8 graph in the making; layers spoil some of their channels by a fixed random plan."""

    def __init__(self, seed: int) -> None:
        self.builder = TfliteGraph(seed)
        self.random = self.builder.random
        self._scales: dict[str, float] = {}
        self._zero_points: dict[str, int] = {}

    def input(self, *shape: int) -> str:
        return self._known(
            self.builder.input(shape, np.int8, per_tensor(2.0**-5, zero := int(self.random.integers(-9, 9)))),
            2.0**-5,
            zero,
        )

    def conv(
        self,
        value: str,
        outputs: int,
        *,
        kernel: int = 3,
        padding: str = "SAME",
        stride: int = 1,
        relu: bool = True,
        spoiled: bool = True,
    ) -> str:
        """A convolution."""
        height, width, channels = self.builder.shape(value)[1:]
        weights = self.random.integers(-40, 41, (outputs, kernel, kernel, channels))
        biases = self.random.integers(-600, 600, outputs)
        if spoiled:
            self._spoil(weights, biases, relu)
        operands = [value, self._weights(weights, 0), self._biases(biases, value, outputs)]
        shape = (1, *(_windows(extent, kernel, stride, padding) for extent in (height, width)), outputs)
        return self._layer(
            "CONV_2D", operands, shape, kernel * kernel * channels, relu,
            padding=padding, stride_h=stride, stride_w=stride,
        )  # fmt: skip

    def depthwise(
        self, value: str, *, multiplier: int = 1, padding: str = "SAME", relu: bool = True, spoiled: bool = True
    ) -> str:
        """A depthwise convolution of 3 x 3."""
        height, width, channels = self.builder.shape(value)[1:]
        outputs = channels * multiplier
        weights = self.random.integers(-40, 41, (outputs, 3, 3))
        biases = self.random.integers(-600, 600, outputs)
        if spoiled:
            self._spoil(weights, biases, relu)
        operands = [value, self._weights(weights.transpose(1, 2, 0)[None], 3), self._biases(biases, value, outputs)]
        shape = (1, *(_windows(extent, 3, 1, padding) for extent in (height, width)), outputs)
        return self._layer(
            "DEPTHWISE_CONV_2D", operands, shape, 9, relu,
            padding=padding, stride_h=1, stride_w=1, depth_multiplier=multiplier,
        )  # fmt: skip

    def dense(self, value: str, outputs: int, *, relu: bool = False, spoiled: bool = False, bias: bool = True) -> str:
        """A fully connected layer on a vector, with one scale of weights."""
        features = self.builder.shape(value)[-1]
        weights = self.random.integers(-40, 41, (outputs, features))
        weights[:, self.random.random(features) < 0.3] = 0
        biases = self.random.integers(-600, 600, outputs)
        if spoiled:
            self._spoil(weights, biases, relu)
        operands = [value, self.builder.constant(weights, np.int8, per_tensor(_WEIGHTS))]
        if bias:
            operands.append(self.builder.constant(biases, np.int32, per_tensor(self._scales[value] * _WEIGHTS)))
        return self._layer("FULLY_CONNECTED", operands, (1, outputs), features, relu)

    def add(self, one: str, other: str) -> str:
        """A residual; its scale is no power of two, and half the time a clamp is fused."""
        shape, clamped = self.builder.shape(one), bool(self.random.integers(2))
        activation = {"fused_activation_function": "RELU"} if clamped else {}
        scale = float(self.random.uniform(1.2, 2.2)) * max(self._scales[one], self._scales[other])
        return self._out("ADD", [one, other], shape, scale, -128 if clamped else -4, **activation)

    def moved(self, kind: str, value: str, shape: tuple[int, ...], *operands: str, **options: str | int) -> str:
        """An operator that keeps scale and zero point."""
        return self._out(kind, [value, *operands], shape, self._scales[value], self._zero_points[value], **options)

    def pool(self, kind: str, value: str) -> str:
        """A pool of 2 x 2."""
        height, width, channels = self.builder.shape(value)[1:]
        window = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2}
        return self.moved(kind, value, (1, height // 2, width // 2, channels), padding="VALID", **window)

    def pad(self, value: str) -> str:
        """One element on each side."""
        height, width, channels = self.builder.shape(value)[1:]
        amounts = self.builder.indices((0, 0), (1, 1), (1, 1), (0, 0))
        return self.moved("PAD", value, (1, height + 2, width + 2, channels), amounts)

    def flat(self, value: str) -> str:
        """The image as a vector."""
        size = int(np.prod(self.builder.shape(value)))
        return self.moved("RESHAPE", value, (1, size), self.builder.indices(1, size))

    def joined(self, values: Sequence[str]) -> str:
        """Images with the same scale, channel after channel."""
        shape = self.builder.shape(values[0])
        channels = sum(self.builder.shape(value)[-1] for value in values)
        return self.moved("CONCATENATION", values[0], (*shape[:-1], channels), *values[1:], axis=len(shape) - 1)

    def graph(self, *outputs: str) -> LoweredGraph:
        """The graph with these outputs."""
        return self.builder.graph(*outputs)

    def _spoil(self, weights: Array, biases: Array, relu: bool) -> None:
        """Make some outputs constant or dead, and multiply some inputs by nothing."""
        fates = self.random.random(len(weights))
        weights[fates < 0.25] = 0
        if relu:
            biases[(fates > 0.25) & (fates < 0.5)] = _FAR_BELOW
        if weights.ndim != 3:
            weights[..., self.random.random(weights.shape[-1]) < 0.25] = 0

    def _weights(self, weights: Array, axis: int) -> str:
        return self.builder.constant(weights, np.int8, per_channel([_WEIGHTS] * weights.shape[axis], axis))

    def _biases(self, biases: Array, value: str, outputs: int) -> str:
        return self.builder.constant(biases, np.int32, per_channel([self._scales[value] * _WEIGHTS] * outputs, 0))

    def _layer(
        self, kind: str, operands: list[str], shape: tuple[int, ...], terms: int, relu: bool, **options: str | int
    ) -> str:
        scale = self._scales[operands[0]] * _WEIGHTS * 2.0 ** round(np.log2(20 * np.sqrt(terms)))
        activation = {"fused_activation_function": "RELU"} if relu else {}
        return self._out(kind, operands, shape, scale, -128 if relu else 3, **options, **activation)

    def _out(
        self, kind: str, operands: list[str], shape: tuple[int, ...], scale: float, zero: int, **options: str | int
    ) -> str:
        name = self.builder.add(kind, operands, shape, np.int8, per_tensor(scale, zero), **options)
        return self._known(name, scale, zero)

    def _known(self, name: str, scale: float, zero: int) -> str:
        self._scales[name], self._zero_points[name] = scale, zero
        return name


def prunable_graph(seed: int) -> LoweredGraph:
    """A graph of up to nine layers drawn by ``seed``; what comes last shows every step, without a softmax."""
    net = PrunableNet(seed)
    random = net.random
    value = net.conv(net.input(1, 6, 6, 3), int(random.integers(4, 20)), relu=bool(random.integers(2)))
    for step in random.permutation(["depthwise", "pointwise", "residual", "pad", "pool", "join", "wide"])[:5]:
        value = _grown(net, str(step), value)
    last = net.conv(value, 5, kernel=1, relu=False, spoiled=False)
    if random.integers(2):
        return net.graph(last)
    return net.graph(net.dense(net.dense(net.flat(value), 9, relu=True, spoiled=True), 4, bias=False))


def _grown(net: PrunableNet, step: str, value: str) -> str:
    random, (height, _, channels) = net.random, net.builder.shape(value)[1:]
    relu = bool(random.integers(2))
    if step == "depthwise":
        return net.depthwise(value, multiplier=int(random.integers(1, 3)), relu=relu)
    if step == "pointwise":
        return net.conv(value, int(random.integers(4, 20)), kernel=1, relu=relu)
    if step == "residual":
        return net.add(value, net.conv(value, channels, relu=False))
    if step == "pad":
        return net.pad(value)
    if step == "join":
        return net.joined([value, net.moved("MAX_POOL_2D", value, net.builder.shape(value), **_ONE_BY_ONE)])
    if step == "pool" and height >= 4:
        return net.pool(str(random.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"])), value)
    return net.conv(value, int(random.integers(4, 20)), padding=str(random.choice(["SAME", "VALID"])), relu=relu)


_ONE_BY_ONE = {"padding": "VALID", "filter_height": 1, "filter_width": 1, "stride_h": 1, "stride_w": 1}


def _windows(extent: int, kernel: int, stride: int, padding: str) -> int:
    return -(-extent // stride) if padding == "SAME" else -(-(extent - kernel + 1) // stride)


def structured_inputs(shape: tuple[int, ...], n: int, seed: int = 0) -> list[Array]:
    """int8 inputs: constants, checkerboards, ramps, single pixels, narrow noise; the rest is uniform."""
    random, places = np.random.default_rng(seed), np.indices(shape)
    cases = [np.full(shape, value) for value in (-128, 127, 0, -1)]
    cases += [np.where((places.sum(axis=0) // side) % 2, 127, -128) for side in (1, 2, 3)]
    for axis in range(1, len(shape)):
        ramp = places[axis] * 255 // max(shape[axis] - 1, 1) - 128
        cases += [ramp, -1 - ramp]
    for low, high in ((-128, 127), (127, -128)):
        for pixel in random.integers(0, np.prod(shape), n // 8):
            case = np.full(shape, low)
            case.flat[pixel] = high
            cases.append(case)
    cases += [np.clip(random.normal(random.integers(-100, 100), 1 + n % 30, shape), -128, 127) for _ in range(n // 8)]
    cases += [random.integers(-128, 128, shape) for _ in range(max(n - len(cases), 0))]
    return [case.astype(np.int8) for case in cases[:n]]


def inner_values(graph: LoweredGraph, cases: Sequence[Array], resolver: OpResolverType) -> Iterator[dict[str, Array]]:
    """What LiteRT gives every activation of a graph, by name, case by case."""
    shown = graph.copy()
    shown.outputs = [operator.outputs[0] for operator in graph.operators]
    interpreter = Interpreter(model_content=write_tflite(shown), experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), given = interpreter.get_input_details(), interpreter.get_output_details()
    for case in cases:
        interpreter.set_tensor(taken["index"], case)
        interpreter.invoke()
        yield {name: interpreter.get_tensor(detail["index"]) for name, detail in zip(shown.outputs, given, strict=True)}


def differing(pruned: Pruned, cases: Sequence[Array], resolver: OpResolverType) -> int:
    """How many of the values that are left differ from what they are with all channels."""
    found = 0
    whole, left = (inner_values(graph, cases, resolver) for graph in (pruned.whole, pruned.graph))
    for before, after in zip(whole, left, strict=True):
        for name, value in after.items():
            found += int((before[name][..., pruned.removal.mask(pruned.whole, name)] != value).sum())
    return found


def differing_emulated(pruned: Pruned, cases: Sequence[Array], dialect: Dialect) -> int:
    """The same by the emulator of a dialect."""
    given = {pruned.whole.inputs[0]: np.stack(cases)}
    names = [operator.outputs[0] for operator in pruned.graph.operators]
    before, after = (Emulator(graph, dialect).run(given, names) for graph in (pruned.whole, pruned.graph))
    masks = {name: pruned.removal.mask(pruned.whole, name) for name in names}
    return sum(int((before[name][..., masks[name]] != after[name]).sum()) for name in names)
