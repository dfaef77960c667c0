"""Each TFLite operator in the hub: onnxruntime computes what LiteRT does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.writer import write_tflite
from support.lifting import assert_lifts
from support.tflite_graphs import (
    Shape,
    TfliteGraph,
    assert_close,
    per_channel,
    per_tensor,
    random_inputs,
    run_onnx,
    small_network,
)


def convolution(
    image: Shape, kernel: tuple[int, int], outputs: int, result: tuple[int, int], **options: Any
) -> LoweredGraph:
    builder = TfliteGraph()
    groups = options.pop("groups", 1)
    operands = [builder.input(image), builder.weights(outputs, *kernel, image[3] // groups), builder.weights(outputs)]
    return builder.graph(builder.add("CONV_2D", operands, (image[0], *result, outputs), **options))


STRIDE_1 = {"stride_h": 1, "stride_w": 1}
DILATED = {"dilation_h_factor": 2, "dilation_w_factor": 3, **STRIDE_1}


@pytest.mark.parametrize(
    "graph",
    [
        convolution((1, 7, 9, 3), (3, 3), 4, (7, 9), padding="SAME", **STRIDE_1),
        convolution((1, 7, 9, 3), (3, 3), 4, (5, 7), padding="VALID", **STRIDE_1),
        convolution((1, 8, 8, 3), (3, 3), 4, (4, 4), padding="SAME", stride_h=2, stride_w=2),
        convolution((1, 9, 6, 2), (2, 4), 4, (3, 3), padding="SAME", stride_h=3, stride_w=2),
        convolution((1, 9, 9, 2), (3, 3), 4, (9, 9), padding="SAME", **DILATED),
        convolution((1, 9, 9, 2), (3, 3), 4, (5, 3), padding="VALID", **DILATED),
        convolution((1, 5, 5, 8), (3, 3), 12, (5, 5), padding="SAME", groups=4, **STRIDE_1),
        convolution((2, 5, 5, 1), (1, 1), 1, (3, 3), padding="SAME", stride_h=2, stride_w=2),
        convolution((1, 4, 4, 2), (7, 7), 3, (4, 4), padding="SAME", **STRIDE_1),
    ],
    ids=["same", "valid", "stride", "uneven", "dilated", "dilated-valid", "grouped", "batch", "kernel-over-image"],
)
def test_convolutions_of_any_kernel_stride_dilation_and_group(graph: LoweredGraph) -> None:
    assert_lifts(graph)


@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_depthwise_convolutions(multiplier: int, padding: str) -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 9, 8, 4)), builder.weights(1, 3, 2, 4 * multiplier), builder.weights(4 * multiplier)]
    rows, columns = {"SAME": (5, 4), "VALID": (4, 4)}[padding]
    options = {"padding": padding, "stride_h": 2, "stride_w": 2, "depth_multiplier": multiplier}
    assert_lifts(
        builder.graph(builder.add("DEPTHWISE_CONV_2D", operands, (1, rows, columns, 4 * multiplier), **options))
    )


def test_a_dilated_depthwise_convolution() -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 9, 9, 4)), builder.weights(1, 3, 3, 4), builder.weights(4)]
    options = {"padding": "SAME", "depth_multiplier": 1, "dilation_h_factor": 3, "dilation_w_factor": 2, **STRIDE_1}
    assert_lifts(builder.graph(builder.add("DEPTHWISE_CONV_2D", operands, (1, 9, 9, 4), **options)))


def test_a_convolution_with_computed_weights() -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 5, 5, 2)), builder.input((3, 3, 3, 2)), builder.weights(3)]
    assert_lifts(builder.graph(builder.add("CONV_2D", operands, (1, 5, 5, 3), padding="SAME", **STRIDE_1)))


@pytest.mark.parametrize("left_out", [[], [None]])
def test_a_bias_left_out_either_way_is_no_bias(left_out: list[None]) -> None:
    # LiteRT's kernel insists on a bias, so a bias of zeros says what is expected.
    results = []
    for with_bias in (True, False):
        builder = TfliteGraph()
        operands = [builder.input((1, 5, 5, 2)), builder.weights(3, 3, 3, 2)]
        zeros = builder.constant(np.zeros(3), np.float32)
        bias = [zeros] if with_bias else left_out
        graph = builder.graph(builder.add("CONV_2D", [*operands, *bias], (1, 5, 5, 3), padding="SAME", **STRIDE_1))
        results.append(run_onnx(import_tflite(write_tflite(graph)), random_inputs(graph)))
    assert_close(*results)


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize(
    ("image", "window", "stride", "padding", "result"),
    [
        ((1, 7, 7, 3), (2, 2), (2, 2), "VALID", (3, 3)),
        ((1, 7, 7, 3), (3, 3), (2, 2), "SAME", (4, 4)),
        ((1, 6, 9, 2), (3, 2), (1, 4), "SAME", (6, 3)),
        ((1, 5, 5, 2), (5, 5), (5, 5), "VALID", (1, 1)),
    ],
)
def test_pools_whose_averages_leave_the_padding_out(
    kind: str,
    image: Shape,
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: str,
    result: tuple[int, int],
) -> None:
    builder = TfliteGraph()
    options = {"filter_height": window[0], "filter_width": window[1], "stride_h": stride[0], "stride_w": stride[1]}
    shape = (image[0], *result, image[3])
    assert_lifts(builder.graph(builder.add(kind, [builder.input(image)], shape, padding=padding, **options)))


@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_arithmetic_with_fused_activations(kind: str, activation: str) -> None:
    builder = TfliteGraph()
    left, right = builder.input((1, 4, 5, 3)), builder.input((1, 4, 5, 3))
    output = builder.add(kind, [left, right], (1, 4, 5, 3), fused_activation_function=activation)
    model = assert_lifts(builder.graph(output))
    assert len(model.graph) == (1 if activation == "NONE" else 2)


@pytest.mark.parametrize("shape", [(3,), (1, 1, 1, 3), (1, 4, 5, 1), (5, 1), ()])
def test_arithmetic_broadcasts(shape: Shape) -> None:
    builder = TfliteGraph()
    left = builder.input((1, 4, 5, 3))
    total = builder.add("ADD", [left, builder.weights(*shape)], (1, 4, 5, 3))
    assert_lifts(builder.graph(builder.add("MUL", [builder.weights(*shape), total], (1, 4, 5, 3))))


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC", "TANH"])
def test_activations(kind: str) -> None:
    builder = TfliteGraph()
    assert_lifts(builder.graph(builder.add(kind, [builder.input((1, 6, 7, 3))], (1, 6, 7, 3))))


def test_leaky_relu() -> None:
    builder = TfliteGraph()
    assert_lifts(builder.graph(builder.add("LEAKY_RELU", [builder.input((1, 40))], (1, 40), alpha=0.3)))


@pytest.mark.parametrize("beta", [1.0, 0.25])
@pytest.mark.parametrize("shape", [(1, 10), (1, 3, 4, 5)])
def test_softmax_is_over_the_last_axis_and_has_a_beta(shape: Shape, beta: float) -> None:
    builder = TfliteGraph()
    assert_lifts(builder.graph(builder.add("SOFTMAX", [builder.input(shape)], shape, beta=beta)))


@pytest.mark.parametrize(
    ("source", "keep", "bias", "result"),
    [
        ((1, 12), False, True, (1, 6)),
        ((5, 12), False, False, (5, 6)),
        ((1, 2, 3, 2), False, True, (1, 6)),
        ((2, 3, 12), False, True, (6, 6)),
        ((2, 3, 12), True, True, (2, 3, 6)),
    ],
)
def test_fully_connected_over_rows_and_over_all_axes(source: Shape, keep: bool, bias: bool, result: Shape) -> None:
    builder = TfliteGraph()
    operands = [builder.input(source), builder.weights(6, 12), builder.weights(6) if bias else None]
    output = builder.add("FULLY_CONNECTED", operands, result, keep_num_dims=keep, fused_activation_function="RELU")
    assert_lifts(builder.graph(output))


@pytest.mark.parametrize(
    ("axes", "keep", "result"),
    [((1, 2), False, (1, 3)), ((1, 2), True, (1, 1, 1, 3)), ((-1,), False, (1, 4, 5)), ((3, 1), False, (1, 5))],
)
def test_means_over_any_axes(axes: Shape, keep: bool, result: Shape) -> None:
    builder = TfliteGraph()
    source = builder.input((1, 4, 5, 3))
    assert_lifts(builder.graph(builder.add("MEAN", [source, builder.indices(*axes)], result, keep_dims=keep)))


def test_pads_with_zeros_and_with_a_value() -> None:
    builder = TfliteGraph()
    amounts = builder.indices([0, 0], [1, 2], [0, 3], [0, 1])
    padded = builder.add("PAD", [builder.input((1, 4, 5, 3)), amounts], (1, 7, 8, 4))
    value = builder.constant(-2.5, np.float32)
    more = builder.indices([0, 0], [1, 0], [2, 0], [0, 0])
    assert_lifts(builder.graph(builder.add("PADV2", [padded, more, value], (1, 8, 10, 4))))


def test_reshapes_squeezes_and_expansions() -> None:
    builder = TfliteGraph()
    flat = builder.add("RESHAPE", [builder.input((1, 4, 1, 3)), builder.indices(1, -1)], (1, 12), new_shape=[1, -1])
    wide = builder.add("EXPAND_DIMS", [flat, builder.indices(1)], (1, 1, 12))
    squeezed = builder.add("SQUEEZE", [wide], (12,), squeeze_dims=[0, 1])
    assert_lifts(builder.graph(builder.add("RESHAPE", [squeezed], (3, 4), new_shape=[3, 4])))


@pytest.mark.parametrize("permutation", [(0, 3, 1, 2), (0, 2, 3, 1), (3, 2, 1, 0)])
def test_transpositions(permutation: Shape) -> None:
    builder = TfliteGraph()
    source = builder.input((1, 4, 5, 3))
    shape = tuple((1, 4, 5, 3)[axis] for axis in permutation)
    assert_lifts(builder.graph(builder.add("TRANSPOSE", [source, builder.indices(*permutation)], shape)))


@pytest.mark.parametrize(("axis", "shape"), [(3, (1, 4, 5, 5)), (-1, (1, 4, 5, 5)), (1, (1, 8, 5, 3))])
def test_concatenations(axis: int, shape: Shape) -> None:
    builder = TfliteGraph()
    other = (1, 4, 5, 2) if axis in (3, -1) else (1, 4, 5, 3)
    operands = [builder.input((1, 4, 5, 3)), builder.input(other)]
    output = builder.add("CONCATENATION", operands, shape, axis=axis, fused_activation_function="NONE")
    assert_lifts(builder.graph(output))


def test_slices() -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 6, 7, 3)), builder.indices(0, 2, 1, 0), builder.indices(1, 3, -1, 2)]
    assert_lifts(builder.graph(builder.add("SLICE", operands, (1, 3, 6, 2))))


@pytest.mark.parametrize(
    ("begin", "end", "strides", "masks", "result"),
    [
        ((0, 1, 2, 0), (1, 5, 7, 3), (1, 2, 1, 1), {}, (1, 2, 5, 3)),
        ((0, -3, 0, 0), (1, -1, 7, 3), (1, 1, 3, 1), {}, (1, 2, 3, 3)),
        ((9, 9, 2, 9), (9, 9, 5, 9), (1, 1, 1, 1), {"begin_mask": 0b1011, "end_mask": 0b1011}, (1, 6, 3, 3)),
        ((0, 5, 0, 0), (1, 0, 7, 3), (1, -2, 1, 1), {}, (1, 3, 7, 3)),
        ((0, 5, 0, 0), (1, 9, 7, 3), (1, -1, 1, 1), {"end_mask": 0b0010}, (1, 6, 7, 3)),
        ((0, 0, 3, -1), (1, 6, 4, 0), (1, 1, 1, 1), {"shrink_axis_mask": 0b1101}, (6,)),
    ],
)
def test_strided_slices(begin: Shape, end: Shape, strides: Shape, masks: dict[str, int], result: Shape) -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 6, 7, 3)), *(builder.indices(*values) for values in (begin, end, strides))]
    assert_lifts(builder.graph(builder.add("STRIDED_SLICE", operands, result, **masks)))


def test_a_whole_network_lifts_with_names_shapes_and_types() -> None:
    model = assert_lifts(small_network())
    assert model.opset_imports == {"": 21}
    assert [value.name for value in model.graph.inputs] == ["input"]
    assert [value.name for value in model.graph.outputs] == ["softmax"]
    assert model.graph.inputs[0].shape == (1, 16, 16, 3)
    names = [node.name for node in model.graph]
    assert len(set(names)) == len(names)
    values = [value for node in model.graph for value in (*node.inputs, *node.outputs) if value is not None]
    assert all(value.name and value.dtype is not None and value.shape is not None for value in values)


def test_weights_that_two_layers_share_stay_one_constant() -> None:
    builder = TfliteGraph()
    weights, bias = builder.weights(3, 3, 3, 3), builder.weights(3)
    value = builder.input((1, 5, 5, 3))
    for _ in range(2):
        value = builder.add("CONV_2D", [value, weights, bias], (1, 5, 5, 3), padding="SAME", **STRIDE_1)
    assert len(assert_lifts(builder.graph(value)).graph.initializers) == 2


def float16_weights(builder: TfliteGraph) -> str:
    stored = builder.constant(builder.random.normal(0, 1, (6, 8)), np.float16)
    return builder.add("DEQUANTIZE", [stored], (6, 8))


def int8_weights(builder: TfliteGraph) -> str:
    scales = np.linspace(0.01, 0.06, 6).tolist()
    stored = builder.constant(builder.random.integers(-127, 128, (6, 8)), np.int8, per_channel(scales, 0))
    return builder.add("DEQUANTIZE", [stored], (6, 8))


@pytest.mark.parametrize("weights", [float16_weights, int8_weights])
def test_dequantised_constants_become_float_constants(weights: Callable[[TfliteGraph], str]) -> None:
    builder = TfliteGraph()
    source = builder.input((1, 8))
    output = builder.add("FULLY_CONNECTED", [source, weights(builder), None], (1, 6))
    model = assert_lifts(builder.graph(output))
    assert [node.op_type for node in model.graph] == ["Gemm"]


def test_hybrid_weights_count_as_the_reals_they_stand_for() -> None:
    builder = TfliteGraph()
    stored = builder.random.integers(-127, 128, (6, 8))
    source = builder.input((1, 8))
    weights = builder.constant(stored, np.int8, per_tensor(0.01))
    graph = builder.graph(builder.add("FULLY_CONNECTED", [source, weights, None], (1, 6)))
    inputs = random_inputs(graph)
    ours = run_onnx(import_tflite(write_tflite(graph)), inputs)
    np.testing.assert_allclose(ours[0], inputs[0] @ (stored.T * 0.01), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("radius", [1, 3])
def test_responses_normalised_across_channels(radius: int) -> None:
    builder = TfliteGraph()
    options = {"radius": radius, "bias": 1.5, "alpha": 0.3, "beta": 0.6}
    assert_lifts(
        builder.graph(
            builder.add("LOCAL_RESPONSE_NORMALIZATION", [builder.input((1, 4, 5, 7))], (1, 4, 5, 7), **options)
        )
    )


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_vectors_of_length_one(scale: float) -> None:
    builder = TfliteGraph()
    small = builder.add("MUL", [builder.input((2, 6)), builder.constant(scale, np.float32)], (2, 6))
    assert_lifts(builder.graph(builder.add("L2_NORMALIZATION", [small], (2, 6))))
