from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.lower import lower
from edgefleet_contract.errors import RecipeUnfit
from support.exports import kinds, random_inputs, run_hub, run_tflite
from support.onnx_graphs import OnnxGraph

X = (0.03, 5)  # scale and zero point of inputs
Y = (0.05, -7)  # and of what is computed from them


def quantised_input(graph, *shape, name="x"):
    return graph.pair(graph.input(name, *shape), *X)


def quantised_layer(graph, source, operator, shape, scale=X[0], **attributes):
    """A Conv or Gemm with int8 weights per channel and int32 biases, without the pair behind it."""
    weights = graph.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
    scales = (np.abs(weights).reshape(shape[0], -1).max(axis=1) / 127).astype(np.float32)
    steps = np.rint(weights / scales.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int8)
    biases = np.rint(graph.random.normal(0, 0.3, shape[0]) / (scales * np.float32(scale))).astype(np.int32)
    operands = [graph.stored(steps, scales), graph.stored(biases, scales.astype(np.float64) * np.float32(scale))]
    return graph.node(operator, source, *operands, **attributes)


def quantised_conv(graph, source, channels=(3, 4), kernel=(3, 3), scale=X[0], **attributes):
    shape = (channels[1], channels[0] // attributes.get("group", 1), *kernel)
    return quantised_layer(graph, source, "Conv", shape, scale, kernel_shape=list(kernel), **attributes)


def assert_quantised_export_agrees(model, step=Y[0], steps=1.01):
    """Compare both executions in LiteRT with the hub's, computed in float between the pairs."""
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    data, lowered = export_tflite(model, io="float", io_layout="source")
    for delegates in (True, False):
        for ours, theirs in zip(run_tflite(data, inputs, delegates=delegates), expected, strict=True):
            assert np.abs(ours - theirs).max() <= step * steps
    return lowered


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 1, 0, 2)])
def test_a_quantised_convolution_computes_on_integers_and_pads_with_the_zero_point(groups, pads):
    graph = OnnxGraph()
    convolved = quantised_conv(graph, quantised_input(graph, 1, 4, 9, 8), (4, 8), group=groups, pads=pads)
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(convolved, *Y)))
    (conv,) = (operator for operator in lowered.operators if "CONV" in operator.kind)
    assert [lowered.tensors[name].dtype for name in conv.inputs] == [np.int8, np.int8, np.int32]
    assert kinds(lowered)[0] == "QUANTIZE"
    assert kinds(lowered)[-1] == "DEQUANTIZE"


def test_weights_biases_and_scales_are_those_of_the_hub():
    graph = OnnxGraph()
    model = graph.model(graph.pair(quantised_conv(graph, quantised_input(graph, 1, 3, 9, 8)), *Y))
    stored = {value.name: value.const_value.numpy() for value in model.graph.initializers.values()}
    lowered = lower(model, io="float", io_layout="source")
    (conv,) = (operator for operator in lowered.operators if operator.kind == "CONV_2D")
    image, filters, biases = (lowered.tensors[name] for name in conv.inputs)
    np.testing.assert_array_equal(filters.data, stored[filters.name].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(biases.data, stored[biases.name])
    assert (image.quantisation.scale, image.quantisation.zero_point) == (np.float32(X[0]), X[1])
    output = lowered.tensors[conv.outputs[0]].quantisation
    assert (output.scale, output.zero_point) == (np.float32(Y[0]), Y[1])
    product = image.quantisation.scale.astype(np.float64) * filters.quantisation.scale
    np.testing.assert_array_equal(biases.quantisation.scale, product.astype(np.float32))
    assert not biases.quantisation.zero_point.any()


def test_the_channel_axis_of_depthwise_weights_is_their_last():
    graph = OnnxGraph()
    convolved = quantised_conv(graph, quantised_input(graph, 1, 4, 9, 8), (4, 8), group=4)
    lowered = lower(graph.model(graph.pair(convolved, *Y)), io="float", io_layout="source")
    (conv,) = (operator for operator in lowered.operators if operator.kind == "DEPTHWISE_CONV_2D")
    assert lowered.tensors[conv.inputs[1]].quantisation.axis == 3


def test_a_convolution_without_biases_gets_int32_zeros():
    graph = OnnxGraph()
    weights = graph.stored(graph.random.integers(-127, 127, (4, 3, 3, 3)).astype(np.int8), np.float32(0.002))
    convolved = graph.node("Conv", quantised_input(graph, 1, 3, 9, 8), weights, kernel_shape=[3, 3])
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(convolved, *Y)))
    (conv,) = (operator for operator in lowered.operators if operator.kind == "CONV_2D")
    assert lowered.tensors[conv.inputs[2]].dtype == np.int32


@pytest.mark.parametrize(
    ("clamp", "zero_point", "scale", "expected"),
    [
        ("Relu", -128, 0.05, []),  # the type ends where the clamp begins
        ("Relu", -100, 0.05, ["fused RELU"]),
        ("Relu6", -128, 0.02, []),
        ("Relu6", -128, 0.05, ["fused RELU6"]),
        ("Clip", -30, 0.05, ["MAXIMUM", "MINIMUM"]),
        ("Clip", -30, 0.004, []),
    ],
)
def test_a_clamp_after_a_quantised_convolution_is_fused_or_left_to_saturation(clamp, zero_point, scale, expected):
    graph = OnnxGraph()
    convolved = quantised_conv(graph, quantised_input(graph, 1, 3, 9, 8))
    if clamp == "Relu":
        clamped = graph.node("Relu", convolved)
    else:
        clamped = graph.clip(convolved, *((0, 6) if clamp == "Relu6" else (-0.7, 1.1)))
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(clamped, scale, zero_point)), step=scale)
    inner = [operator for operator in lowered.operators if operator.kind not in {"QUANTIZE", "DEQUANTIZE", "TRANSPOSE"}]
    found = [operator.kind for operator in inner[1:]]
    fused = inner[0].attributes.get("fused_activation_function")
    assert found + ([f"fused {fused}"] if fused else []) == expected


def test_a_quantised_flattened_image_permutes_rows_of_weights_and_keeps_their_scales():
    graph = OnnxGraph()
    image = graph.pair(quantised_conv(graph, quantised_input(graph, 1, 3, 7, 6)), *Y)
    rows = graph.pair(graph.reshape(image, 1, 80), *Y)
    dense = quantised_layer(graph, rows, "Gemm", (5, 80), Y[0], transB=1)
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(dense, *Y)), steps=2.01)
    assert kinds(lowered) == ["QUANTIZE", "TRANSPOSE", "CONV_2D", "FULLY_CONNECTED", "DEQUANTIZE"]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
def test_two_quantised_activations_with_scales_of_their_own_are_combined_on_integers(operator):
    graph = OnnxGraph()
    left, right = quantised_input(graph, 1, 3, 5, 4), graph.pair(graph.input("y", 1, 3, 1, 1), 0.02, 30)
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(graph.node(operator, left, right), *Y)))
    assert kinds(lowered) == ["QUANTIZE", "QUANTIZE", operator.upper(), "DEQUANTIZE"]


def test_a_quantised_constant_operand_follows_the_layout():
    graph = OnnxGraph()
    image = graph.pair(quantised_conv(graph, quantised_input(graph, 1, 3, 7, 6)), *Y)
    constant = graph.stored(graph.random.integers(-127, 127, (4, 1, 1)).astype(np.int8), np.float32(0.01))
    product = graph.pair(graph.node("Mul", image, constant), *Y)
    lowered = assert_quantised_export_agrees(graph.model(product), steps=2.01)
    assert kinds(lowered) == ["QUANTIZE", "TRANSPOSE", "CONV_2D", "MUL", "TRANSPOSE", "DEQUANTIZE"]


@pytest.mark.parametrize(
    "operator",
    [
        ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 0, 1, 0], "count_include_pad": 1}),
        ("GlobalAveragePool", {}),
        ("GlobalMaxPool", {}),
        ("Transpose", {"perm": [0, 2, 1, 3]}),
    ],
    ids=str,
)
def test_operators_that_share_parameters_stay_on_integers(operator):
    graph = OnnxGraph()
    kind, attributes = operator
    result = graph.node(kind, quantised_input(graph, 1, 3, 8, 8), **attributes)
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(result, *X)), step=X[0])
    assert kinds(lowered).count("QUANTIZE") == 1
    assert kinds(lowered)[-1] == "DEQUANTIZE"
    assert kinds(lowered).count("DEQUANTIZE") == 1


def test_a_pad_with_another_value_and_a_slice_and_a_concatenation_stay_on_integers():
    graph = OnnxGraph()
    source = quantised_input(graph, 1, 3, 6, 6)
    padded = graph.pair(graph.node("Pad", source, graph.constant([0, 0, 1, 0] * 2, int), graph.constant(0.9)), *X)
    bounds = [graph.constant(array, int) for array in ([1], [-1], [2])]
    sliced = graph.pair(graph.node("Slice", padded, *bounds), *X)
    joined = graph.pair(graph.node("Concat", source, sliced, axis=1), *X)
    lowered = assert_quantised_export_agrees(graph.model(joined), step=X[0])
    assert kinds(lowered) == ["QUANTIZE", "PADV2", "STRIDED_SLICE", "CONCATENATION", "DEQUANTIZE"]


def test_inputs_of_a_concatenation_with_other_parameters_are_requantised():
    graph = OnnxGraph()
    joined = graph.node("Concat", quantised_input(graph, 1, 3), graph.pair(graph.input("y", 1, 2), 0.02, 1), axis=1)
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(joined, *X)), step=X[0])
    assert kinds(lowered).count("QUANTIZE") == 3


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [("Sigmoid", (1 / 256, -128)), ("Softmax", (1 / 256, -128)), ("Tanh", (1 / 128, 0)), ("LeakyRelu", (0.04, -30))],
)
def test_an_activation_with_its_parameters_computes_on_integers(operator, parameters):
    graph = OnnxGraph()
    lowered = assert_quantised_export_agrees(
        graph.model(graph.pair(graph.node(operator, quantised_input(graph, 1, 40)), *parameters)), step=parameters[0]
    )
    assert len(kinds(lowered)) == 3


def test_a_sigmoid_with_other_parameters_is_computed_in_float():
    graph = OnnxGraph()
    result = graph.pair(graph.node("Sigmoid", quantised_input(graph, 1, 40)), 0.005, -100)
    lowered = assert_quantised_export_agrees(graph.model(result), step=0.005)
    assert kinds(lowered) == ["QUANTIZE", "DEQUANTIZE", "LOGISTIC", "QUANTIZE", "DEQUANTIZE"]


def test_an_operator_left_in_float_stands_between_dequantize_and_quantize():
    graph = OnnxGraph()
    image = graph.pair(quantised_conv(graph, quantised_input(graph, 1, 3, 7, 6)), *Y)
    halved = graph.pair(graph.node("Div", image, graph.constant(2.0)), *Y)
    lowered = assert_quantised_export_agrees(
        graph.model(graph.pair(quantised_conv(graph, halved, (4, 2), scale=Y[0]), *Y)), steps=2.01
    )
    assert [kind for kind in kinds(lowered) if kind != "TRANSPOSE"] == [
        "QUANTIZE", "CONV_2D", "DEQUANTIZE", "DIV", "QUANTIZE", "CONV_2D", "DEQUANTIZE"
    ]  # fmt: skip


def test_an_average_that_int8_would_round_twice_is_computed_in_float():
    graph = OnnxGraph()
    image = quantised_input(graph, 1, 3, 8, 8)
    result = graph.node("AveragePool", image, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    lowered = assert_quantised_export_agrees(graph.model(graph.pair(result, *X)), step=X[0])
    assert "MUL" in kinds(lowered)


def test_int8_inputs_and_outputs_are_the_tensors_between_the_outer_pairs():
    graph = OnnxGraph()
    convolved = quantised_conv(graph, quantised_input(graph, 1, 3, 7, 6))
    model = graph.model(graph.pair(convolved, *Y, name="y"))
    data, lowered = export_tflite(model, io="int8", io_layout="source")
    assert kinds(lowered) == ["TRANSPOSE", "CONV_2D", "TRANSPOSE"]
    assert (lowered.inputs, lowered.outputs) == (["x"], ["y"])
    assert lowered.tensors["x"].dtype == lowered.tensors["y"].dtype == np.int8
    inputs = random_inputs(model)
    (ours,) = run_tflite(data, inputs)
    assert np.abs(ours - run_hub(model, inputs)[0]).max() <= Y[0] * 1.01


@pytest.mark.parametrize("end", ["input 'x'", "output 'divided'"])
def test_int8_is_refused_for_an_input_or_output_left_in_float(end):
    graph = OnnxGraph()
    source = graph.input("x", 1, 4)
    rows = graph.pair(graph.node("Div", source, graph.constant(2.0)) if "x" in end else source, *X)
    dense = graph.pair(quantised_layer(graph, rows, "Gemm", (5, 4), transB=1), *Y, name="y")
    result = dense if "x" in end else graph.node("Div", dense, graph.constant(2.0), name="divided")
    with pytest.raises(RecipeUnfit, match=end):
        lower(graph.model(result), io="int8", io_layout="source")


def test_float16_weights_are_widened_by_dequantize():
    graph = OnnxGraph()
    image = graph.input("x", 1, 3, 8, 8)
    weights = graph.node("Cast", graph.constant(graph.random.normal(size=(4, 3, 3, 3)), np.float16), to=1)
    biases = graph.node("Cast", graph.constant(graph.random.normal(size=4), np.float16), to=1)
    model = graph.model(graph.node("Conv", image, weights, biases, kernel_shape=[3, 3]))
    data, lowered = export_tflite(model, io="float", io_layout="source")
    assert {tensor.dtype for tensor in lowered.constants() if tensor.dtype != np.int32} == {np.dtype(np.float16)}
    inputs = random_inputs(model)
    for delegates in (True, False):
        (ours,) = run_tflite(data, inputs, delegates=delegates)
        np.testing.assert_allclose(ours, run_hub(model, inputs)[0], atol=1e-4)


def test_int8_weights_of_a_float_layer_are_widened_by_dequantize():
    graph = OnnxGraph()
    scales = np.full(5, 0.01, np.float32)
    weights = graph.stored(graph.random.integers(-127, 127, (5, 7)).astype(np.int8), scales)
    model = graph.model(graph.node("Gemm", graph.input("x", 1, 7), weights, transB=1))
    lowered = assert_quantised_export_agrees(model, step=1e-5)
    assert kinds(lowered) == ["DEQUANTIZE", "FULLY_CONNECTED"]


@pytest.mark.parametrize(
    ("operator", "attributes"), [("HardSwish", {}), ("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("LeakyRelu", {})]
)
@pytest.mark.parametrize("scale", [0.01, 0.03, 0.1])
def test_a_smooth_activation_computes_on_integers_to_within_a_step(operator, attributes, scale):
    graph = OnnxGraph()
    source = graph.pair(graph.node("Mul", graph.input("x", 1, 40, 20), graph.constant(scale * 40)), scale, 3)
    output = graph.pair(graph.node(operator, source, **attributes), scale, -100)
    lowered = assert_quantised_export_agrees(graph.model(output), step=scale)
    assert kinds(lowered)[-2:] == [
        {"LeakyRelu": "LEAKY_RELU", "HardSwish": "HARD_SWISH"}.get(operator, "GELU"),
        "DEQUANTIZE",
    ]
