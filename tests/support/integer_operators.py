"""Graphs of one operator on integers, with scales, shapes and attributes drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.lowered.graph import LoweredGraph, Quantisation
from support.tflite_graphs import Shape, TfliteGraph, per_channel, per_tensor

_INT8 = np.int8
_WINDOW_NAMES = ("stride_h", "stride_w")


def _scale(graph: TfliteGraph, low: float = 0.01, high: float = 0.1) -> float:
    return float(np.float32(np.exp(graph.random.uniform(np.log(low), np.log(high)))))


def _parameters(graph: TfliteGraph, low: float = 0.01, high: float = 0.1) -> Quantisation:
    return per_tensor(_scale(graph, low, high), int(graph.random.integers(-128, 128)))


def _input(graph: TfliteGraph, shape: Shape) -> str:
    return graph.input(shape, _INT8, _parameters(graph))


def _step(graph: TfliteGraph, name: str) -> Quantisation:
    """The parameters of a tensor."""
    found = graph.graph().tensors[name].quantisation
    assert found is not None
    return found


def _convolution(*, depthwise: bool = False, groups: int = 1, int4: bool = False) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        random = graph.random
        kernel, stride, dilation = (int(random.integers(1, 4)) for _ in range(3))
        dilation = dilation if stride == 1 else 1
        depth = int(random.integers(2, 13)) * groups
        image = _input(graph, (1, 9, 10, depth))
        times = int(random.integers(1, 3))
        channels = depth * times if depthwise else 6 * groups
        padding = str(random.choice(["SAME", "VALID"]))
        span = (kernel - 1) * dilation + 1
        outputs = [-(-(extent if padding == "SAME" else extent - span + 1) // stride) for extent in (9, 10)]
        shape = (1, kernel, kernel, channels) if depthwise else (channels, kernel, kernel, depth // groups)
        reach = 8 if int4 else 128
        steps = [_scale(graph, 0.002, 0.02) * 128 / reach for _ in range(channels)]
        weights = graph.constant(
            random.integers(1 - reach, reach, shape).astype(np.int8),
            INT4.type if int4 else _INT8,
            per_channel(steps, 3 if depthwise else 0),
        )
        step = float(_step(graph, image).scale[0])
        bias = graph.constant(
            random.integers(-2000, 2000, channels), np.int32, per_channel([step * each for each in steps], 0)
        )
        clamp = str(random.choice(["NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))
        attributes: dict[str, Any] = {"depth_multiplier": times} if depthwise else {}
        return graph.add(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [image, weights, bias], (1, *outputs, channels), _INT8,
            _parameters(graph, 0.01, 0.2), padding=padding, stride_h=stride, stride_w=stride,
            dilation_h_factor=dilation, dilation_w_factor=dilation, fused_activation_function=clamp, **attributes,
        )  # fmt: skip

    return build


def _dense(*, channels: bool = False) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        rows = _input(graph, (1, 24))
        steps = [_scale(graph, 0.002, 0.02) for _ in range(10 if channels else 1)]
        weights = graph.constant(
            graph.random.integers(-127, 128, (10, 24)),
            _INT8,
            per_channel(steps, 0) if channels else per_tensor(steps[0]),
        )
        step = _step(graph, rows).scale[0]
        products = [float(step * np.float32(each)) for each in steps]
        bias = graph.constant(
            graph.random.integers(-2000, 2000, 10),
            np.int32,
            per_channel(products, 0) if channels else per_tensor(products[0]),
        )
        return graph.add("FULLY_CONNECTED", [rows, weights, bias], (1, 10), _INT8, _parameters(graph, 0.02, 0.3))

    return build


def _pair(kind: str, *, alike: bool = False, broadcast: bool = False) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        one = _input(graph, (1, 5, 7, 6))
        parameters = _step(graph, one) if alike else _parameters(graph)
        shape = (1, 1, 1, 6) if broadcast else (1, 5, 7, 6)
        other = graph.input(shape, _INT8, parameters)
        result = parameters if alike else _parameters(graph, 0.02, 0.3)
        return graph.add(kind, [one, other], (1, 5, 7, 6), _INT8, result, **_fused(graph, kind))

    return build


def _nice_sum(first: Shape, second: Shape) -> Callable[[TfliteGraph], str]:
    """An ADD whose scales are round numbers: many sums are ties, or nearly."""

    def build(graph: TfliteGraph) -> str:
        steps = (float(graph.random.integers(2, 9)) / 100 for _ in range(3))
        one, other, output = (per_tensor(step, int(graph.random.integers(-128, 128))) for step in steps)
        shape = np.broadcast_shapes(first, second)
        return graph.add(
            "ADD", [graph.input(first, _INT8, one), graph.input(second, _INT8, other)], shape, _INT8, output
        )

    return build


def _fused(graph: TfliteGraph, kind: str) -> dict[str, Any]:
    if kind in ("MAXIMUM", "MINIMUM"):
        return {}
    return {"fused_activation_function": str(graph.random.choice(["NONE", "RELU", "RELU6"]))}


def _pool(kind: str) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        image = _input(graph, (1, 9, 10, 3))
        size, stride = int(graph.random.integers(1, 5)), int(graph.random.integers(1, 4))
        padding = str(graph.random.choice(["SAME", "VALID"]))
        outputs = [-(-(extent if padding == "SAME" else extent - size + 1) // stride) for extent in (9, 10)]
        return graph.add(
            kind, [image], (1, *outputs, 3), _INT8, _step(graph, image), padding=padding, stride_h=stride,
            stride_w=stride, filter_height=size, filter_width=size, **_fused(graph, kind),
        )  # fmt: skip

    return build


def _mean(*axes: int) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        image = _input(graph, (1, 5, 7, 21))
        shape = tuple(1 if axis in axes else extent for axis, extent in enumerate((1, 5, 7, 21)))
        return graph.add("MEAN", [image, graph.indices(*axes)], shape, _INT8, _parameters(graph), keep_dims=True)

    return build


def _single(
    kind: str, output: Quantisation | None = None, *, alike: bool = False, **attributes: Any
) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        rows = _input(graph, (1, 7, 41))
        parameters = _step(graph, rows) if alike else output or _parameters(graph, 0.02, 0.2)
        return graph.add(kind, [rows], (1, 7, 41), _INT8, parameters, **attributes)

    return build


def _leaky(graph: TfliteGraph) -> str:
    return _single("LEAKY_RELU", alpha=float(np.float32(graph.random.uniform(0.01, 0.9))))(graph)


def _moved(
    kind: str, shape: Shape, operands: Callable[[TfliteGraph], list[str]], **attributes: Any
) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        image = _input(graph, (1, 4, 6, 3))
        return graph.add(kind, [image, *operands(graph)], shape, _INT8, _step(graph, image), **attributes)

    return build


def _padded(graph: TfliteGraph) -> str:
    image = _input(graph, (1, 4, 6, 3))
    value = graph.constant(np.array([graph.random.integers(-128, 128)]), _INT8, _step(graph, image))
    amounts = graph.indices((0, 0), (1, 2), (3, 0), (0, 1))
    return graph.add("PADV2", [image, amounts, value], (1, 7, 9, 4), _INT8, _step(graph, image))


def _joined(graph: TfliteGraph) -> str:
    image = _input(graph, (1, 4, 6, 3))
    other = graph.input((1, 4, 6, 2), _INT8, _step(graph, image))
    return graph.add("CONCATENATION", [image, other, image], (1, 4, 6, 8), _INT8, _step(graph, image), axis=-1)


def _requantised(graph: TfliteGraph) -> str:
    return _single("QUANTIZE")(graph)


def _real_ends(graph: TfliteGraph) -> str:
    reals = graph.input((1, 7, 41))
    inner = graph.add("QUANTIZE", [reals], (1, 7, 41), _INT8, _parameters(graph))
    return graph.add("DEQUANTIZE", [inner], (1, 7, 41))


def _softmax(graph: TfliteGraph) -> str:
    rows = graph.input((1, 6, 12), _INT8, _parameters(graph, 0.005, 0.4))
    beta = float(graph.random.choice([1.0, 0.5]))
    return graph.add("SOFTMAX", [rows], (1, 6, 12), _INT8, per_tensor(1 / 256, -128), beta=beta)


def _wide_weighted(kind: str, *, channels: bool = True) -> Callable[[TfliteGraph], str]:
    """int16 activations and int8 weights, no zero points."""

    def build(graph: TfliteGraph) -> str:
        depth = 6
        shape, weights, axis = _WIDE[kind]
        source = _wide_input(graph, shape)
        steps = [_scale(graph, 0.002, 0.02) for _ in range(depth if channels else 1)]
        of_weights = per_channel(steps, axis) if channels else per_tensor(steps[0])
        products = [float(_step(graph, source).scale[0] * np.float32(step)) for step in steps]
        of_bias = per_channel(products, 0) if channels else per_tensor(products[0])
        operands = [
            source,
            graph.constant(graph.random.integers(-127, 128, weights), _INT8, of_weights),
            graph.constant(graph.random.integers(-(10**6), 10**6, depth), np.int64, of_bias),
        ]
        window = {} if kind == "FULLY_CONNECTED" else {"padding": "SAME", "stride_h": 1, "stride_w": 1}
        times = {"depth_multiplier": 1} if kind == "DEPTHWISE_CONV_2D" else {}
        return graph.add(
            kind, operands, (*shape[:-1], depth), np.int16, _wide_parameters(graph, 0.0002), **window, **times
        )

    return build


_WIDE: dict[str, tuple[Shape, Shape, int]] = {
    "CONV_2D": ((1, 5, 7, 4), (6, 3, 3, 4), 0),
    "DEPTHWISE_CONV_2D": ((1, 5, 7, 6), (1, 3, 3, 6), 3),
    "FULLY_CONNECTED": ((1, 24), (6, 24), 0),
}


def _wide_parameters(graph: TfliteGraph, low: float = 0.00001) -> Quantisation:
    return per_tensor(_scale(graph, low, low * 10))


def _wide_input(graph: TfliteGraph, shape: Shape) -> str:
    return graph.input(shape, np.int16, _wide_parameters(graph))


def _wide_pair(kind: str) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        one, other = (_wide_input(graph, (1, 5, 7, 6)) for _ in range(2))
        low = 0.000002 if kind == "MUL" else 0.00002
        options = {} if kind == "MUL" else {"pot_scale_int16": False}
        return graph.add(kind, [one, other], (1, 5, 7, 6), np.int16, _wide_parameters(graph, low), **options)

    return build


def _wide_pool(kind: str) -> Callable[[TfliteGraph], str]:
    def build(graph: TfliteGraph) -> str:
        image = _wide_input(graph, (1, 8, 9, 3))
        return graph.add(
            kind, [image], (1, 4, 5, 3), np.int16, _step(graph, image), padding="SAME", stride_h=2, stride_w=2,
            filter_height=3, filter_width=3, fused_activation_function="RELU",
        )  # fmt: skip

    return build


def _wide_mean(graph: TfliteGraph) -> str:
    image = _wide_input(graph, (1, 5, 7, 21))
    return graph.add(
        "MEAN", [image, graph.indices(1, 2)], (1, 1, 1, 21), np.int16, _wide_parameters(graph), keep_dims=True
    )


def _wide_ends(graph: TfliteGraph) -> str:
    reals = graph.input((1, 7, 41))
    wide = graph.add("QUANTIZE", [reals], (1, 7, 41), np.int16, _wide_parameters(graph, 0.0001))
    narrow = graph.add("QUANTIZE", [wide], (1, 7, 41), _INT8, _parameters(graph))
    again = graph.add("QUANTIZE", [narrow], (1, 7, 41), np.int16, _wide_parameters(graph, 0.0001))
    return graph.add("DEQUANTIZE", [again], (1, 7, 41))


BUILDERS: dict[str, Callable[[TfliteGraph], str]] = {
    "ADD": _pair("ADD"),
    "ADD, broadcast": _pair("ADD", broadcast=True),
    "ADD, ties": _nice_sum((1, 5, 7, 6), (1, 5, 7, 6)),
    "ADD, ties, one for all": _nice_sum((1,), (1, 5, 7, 6)),
    "ADD, ties, one for a pixel": _nice_sum((1, 5, 7, 21), (1, 5, 7, 1)),
    "ADD, ties, one for a channel": _nice_sum((1, 5, 7, 21), (21,)),
    "ADD, ties, one for a row": _nice_sum((1, 5, 1, 21), (1, 5, 7, 21)),
    "ADD, ties, both repeated": _nice_sum((1, 5, 1, 21), (1, 1, 7, 21)),
    "AVERAGE_POOL_2D": _pool("AVERAGE_POOL_2D"),
    "CONCATENATION": _joined,
    "CONV_2D": _convolution(),
    "CONV_2D, groups": _convolution(groups=2),
    "CONV_2D, int4": _convolution(int4=True),
    "DEPTHWISE_CONV_2D": _convolution(depthwise=True),
    "EXPAND_DIMS": _moved("EXPAND_DIMS", (1, 1, 4, 6, 3), lambda graph: [graph.indices(1)]),
    "FULLY_CONNECTED": _dense(),
    "FULLY_CONNECTED, channels": _dense(channels=True),
    "HARD_SWISH": _single("HARD_SWISH"),
    "LEAKY_RELU": _leaky,
    "LOGISTIC": _single("LOGISTIC", per_tensor(1 / 256, -128)),
    "MAXIMUM": _pair("MAXIMUM", alike=True),
    "MAX_POOL_2D": _pool("MAX_POOL_2D"),
    "MEAN": _mean(1, 2),
    "MEAN, one axis": _mean(3),
    "MINIMUM": _pair("MINIMUM", alike=True, broadcast=True),
    "MUL": _pair("MUL"),
    "MUL, broadcast": _pair("MUL", broadcast=True),
    "PAD": _moved("PAD", (1, 6, 9, 3), lambda graph: [graph.indices((0, 0), (1, 1), (0, 3), (0, 0))]),
    "PADV2": _padded,
    "QUANTIZE": _requantised,
    "QUANTIZE, DEQUANTIZE": _real_ends,
    "RELU": _single("RELU"),
    "RELU6": _single("RELU6"),
    "RESHAPE": _moved("RESHAPE", (1, 12, 6), lambda graph: [graph.indices(1, 12, 6)], new_shape=[1, 12, 6]),
    "RESIZE_NEAREST_NEIGHBOR": _moved("RESIZE_NEAREST_NEIGHBOR", (1, 7, 9, 3), lambda graph: [graph.indices(7, 9)]),
    "RESIZE_NEAREST_NEIGHBOR, centres": _moved(
        "RESIZE_NEAREST_NEIGHBOR", (1, 7, 9, 3), lambda graph: [graph.indices(7, 9)], half_pixel_centers=True
    ),
    "RESIZE_NEAREST_NEIGHBOR, corners": _moved(
        "RESIZE_NEAREST_NEIGHBOR", (1, 7, 9, 3), lambda graph: [graph.indices(7, 9)], align_corners=True
    ),
    "SLICE": _moved("SLICE", (1, 2, 5, 2), lambda graph: [graph.indices(0, 1, 1, 1), graph.indices(-1, 2, 5, -1)]),
    "SOFTMAX": _softmax,
    "SQUEEZE": _moved("SQUEEZE", (4, 6, 3), lambda graph: [], squeeze_dims=[0]),
    "STRIDED_SLICE": _moved(
        "STRIDED_SLICE", (1, 2, 3), lambda graph: [
            graph.indices(0, 3, 1, 0), graph.indices(1, -5, 2, 3), graph.indices(1, -2, 1, 1)
        ], shrink_axis_mask=4, begin_mask=1, end_mask=1,
    ),
    "SUB": _pair("SUB"),
    "SUB, broadcast": _pair("SUB", broadcast=True),
    "TANH": _single("TANH", per_tensor(1 / 128, 0)),
    "ADD, int16": _wide_pair("ADD"),
    "AVERAGE_POOL_2D, int16": _wide_pool("AVERAGE_POOL_2D"),
    "CONV_2D, int16": _wide_weighted("CONV_2D"),
    "DEPTHWISE_CONV_2D, int16": _wide_weighted("DEPTHWISE_CONV_2D"),
    "FULLY_CONNECTED, int16": _wide_weighted("FULLY_CONNECTED", channels=False),
    "FULLY_CONNECTED, int16, channels": _wide_weighted("FULLY_CONNECTED"),
    "MAX_POOL_2D, int16": _wide_pool("MAX_POOL_2D"),
    "MEAN, int16": _wide_mean,
    "MUL, int16": _wide_pair("MUL"),
    "QUANTIZE, DEQUANTIZE, int16": _wide_ends,
    "SUB, int16": _wide_pair("SUB"),
    "TRANSPOSE": _moved("TRANSPOSE", (1, 3, 4, 6), lambda graph: [graph.indices(0, 3, 1, 2)]),
}  # fmt: skip
"""A graph of each operator by what is said of it; the last tensor that it adds is the output."""


def integer_operator(name: str, seed: int) -> LoweredGraph:
    """A graph of one operator of ``BUILDERS``."""
    graph = TfliteGraph(seed)
    return graph.graph(BUILDERS[name](graph))


def stored_inputs(graph: LoweredGraph, cases: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Cases uniform over the integers of each input, or normally distributed reals."""
    random = np.random.default_rng(seed)
    drawn = {}
    for tensor in (graph.tensors[name] for name in graph.inputs):
        shape = (cases, *tensor.shape)
        if tensor.dtype == np.float32:
            drawn[tensor.name] = random.normal(0, 2, shape).astype(np.float32)
        else:
            limits = np.iinfo(tensor.dtype)  # type: ignore[type-var]  # inputs are reals or integers
            drawn[tensor.name] = random.integers(limits.min, limits.max, shape, tensor.dtype, endpoint=True)
    return drawn
