"""The quantised hub: its form, its numbers, and what it computes."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant, integer
from edgefleet_compiler.hub.session import Session, serialise
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from support.onnx_graphs import OnnxGraph


def quantised(graph, *outputs, per_channel=True, seed=0):
    """The float hub and the quantised one, calibrated on eight random cases."""
    model = graph.model(*outputs)
    simplify(model)
    random = np.random.default_rng(seed)
    cases = [
        {value.name: random.normal(size=value.shape.numpy()).astype(np.float32) for value in model.graph.inputs}
        for _ in range(8)
    ]
    ranges = calibrate(model, cases, lambda _: None)
    return (
        model,
        quantise(model, ranges, Settings(fully_connected="per-channel" if per_channel else "per-tensor")),
        cases,
    )


def layer(model, operator):
    (node,) = (node for node in model.graph if node.op_type == operator)
    return node


def stored(node, index):
    """Integers, scales and zero points of an operand that is seen through DequantizeLinear, and the axis."""
    dequantise = node.inputs[index].producer()
    assert dequantise.op_type == "DequantizeLinear"
    return (*(constant(value) for value in dequantise.inputs), integer(dequantise, "axis", 1))


def pair_of(value):
    """Scale and zero point of the pair that a value comes from."""
    dequantise = value.producer()
    quantise = dequantise.inputs[0].producer()
    assert (dequantise.op_type, quantise.op_type) == ("DequantizeLinear", "QuantizeLinear")
    assert dequantise.inputs[1] is quantise.inputs[1]
    assert dequantise.inputs[2] is quantise.inputs[2]
    return float(constant(quantise.inputs[1])), int(constant(quantise.inputs[2]))


def error(model, reference, cases):
    ours, theirs = Session(model, optimise=False), Session(reference, optimise=False)
    return max(
        float(np.abs(ours.run(case)[name] - theirs.run(case)[name]).max()) for case in cases for name in ours.outputs
    )


def test_weights_and_biases_have_the_scales_of_the_specification():
    graph = OnnxGraph()
    graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3))
    model, hub, _ = quantised(graph, "conv_3")
    node, weights = layer(hub, "Conv"), constant(layer(model, "Conv").inputs[1])
    integers, scales, zero_points, axis = stored(node, 1)
    assert (integers.dtype, axis) == (np.int8, 0)
    assert not zero_points.any()
    np.testing.assert_array_equal(scales, (np.abs(weights).max(axis=(1, 2, 3)) / 127.0).astype(np.float32))
    input_scale, _ = pair_of(node.inputs[0])
    bias, bias_scale, bias_zero, bias_axis = stored(node, 2)
    assert (bias.dtype, bias_axis) == (np.int32, 0)
    assert not bias_zero.any()
    np.testing.assert_array_equal(bias_scale, (scales.astype(np.float64) * input_scale).astype(np.float32))


@pytest.mark.parametrize("per_channel", [True, False])
def test_fully_connected_weights_are_per_channel_as_the_target_likes(per_channel):
    graph = OnnxGraph()
    _, hub, cases = quantised(graph, graph.gemm(graph.input("x", 1, 8), 8, 5), per_channel=per_channel)
    _, scales, zero_points, _ = stored(layer(hub, "Gemm"), 1)
    assert scales.shape == zero_points.shape == ((5,) if per_channel else ())
    assert stored(layer(hub, "Gemm"), 2)[1].shape == scales.shape
    assert len(Session(hub, optimise=False).run(cases[0])) == 1


def test_products_with_a_constant_of_more_axes_have_their_channels_last():
    graph = OnnxGraph()
    model, hub, cases = quantised(graph, graph.node("MatMul", graph.input("x", 2, 3, 8), graph.weights(8, 5)))
    _, scales, _, axis = stored(layer(hub, "MatMul"), 1)
    assert (scales.shape, axis) == ((5,), 1)
    assert error(hub, model, cases) < 0.1


def test_names_of_inputs_outputs_and_layers_stay():
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)), name="features")
    model, hub, _ = quantised(graph, value, graph.node("GlobalAveragePool", value, name="means"))
    assert [value.name for value in (*hub.graph.inputs, *hub.graph.outputs)] == ["x", "features", "means"]
    kept = [node.name for node in hub.graph if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    assert kept == [node.name for node in model.graph]


def test_inputs_are_paired_at_once_and_outputs_at_last():
    graph = OnnxGraph()
    _, hub, _ = quantised(graph, graph.gemm(graph.input("x", 1, 8), 8, 5))
    assert [node.op_type for node in hub.graph.inputs[0].consumers()] == ["QuantizeLinear"]
    assert hub.graph.outputs[0].producer().op_type == "DequantizeLinear"


def test_no_pair_stands_between_a_layer_and_its_activation():
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)))
    _, hub, _ = quantised(graph, value)
    assert layer(hub, "Relu").inputs[0] is layer(hub, "Conv").outputs[0]


def test_members_of_a_group_share_scale_and_zero_point():
    graph = OnnxGraph()
    value = graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (1, 1))
    model, hub, cases = quantised(graph, graph.node("Relu", graph.node("MaxPool", value, kernel_shape=[2, 2])))
    pool = layer(hub, "MaxPool")
    assert pair_of(pool.inputs[0]) == pair_of(layer(hub, "Relu").inputs[0])
    assert error(hub, model, cases) < 0.05


def test_constant_operands_of_arithmetic_are_stored_like_activations():
    graph = OnnxGraph()
    model, hub, cases = quantised(graph, graph.node("Mul", graph.input("x", 2, 3), graph.constant([0.5, 1.0, -3.0])))
    integers, scale, zero_point, _ = stored(layer(hub, "Mul"), 1)
    np.testing.assert_allclose((integers.astype(int) - zero_point) * scale, [0.5, 1.0, -3.0], atol=scale)
    assert error(hub, model, cases) < 0.1


def test_a_joined_constant_is_stored_with_the_parameters_of_the_whole():
    graph = OnnxGraph()
    joined = graph.node(
        "Concat", graph.node("Tanh", graph.input("x", 2, 3)), graph.constant(np.full((2, 1), 7.5)), axis=1
    )
    model, hub, cases = quantised(graph, graph.node("Add", joined, joined))
    node = layer(hub, "Concat")
    _, scale, zero_point, _ = stored(node, 1)
    follower = next(iter(node.outputs[0].consumers()))
    assert (scale, zero_point) == (constant(follower.inputs[1]), constant(follower.inputs[2]))
    assert error(hub, model, cases) < 0.2


def test_a_gate_joined_with_others_is_rescaled_in_between():
    graph = OnnxGraph()
    source = graph.input("x", 1, 3, 5, 5)
    gate = graph.node("Sigmoid", graph.conv(source, (3, 2), (1, 1)), name="gate")
    joined = graph.node("Concat", gate, graph.conv(source, (3, 2), (1, 1)), axis=1, name="joined")
    model, hub, cases = quantised(graph, joined, graph.node("Mul", gate, gate))
    (rescaled, other) = layer(hub, "Concat").inputs
    assert pair_of(rescaled) == pair_of(other)
    own = rescaled.producer().inputs[0].producer().inputs[0]
    assert pair_of(own) == (1 / 256, -128)
    assert all(value is own for value in layer(hub, "Mul").inputs)
    assert error(hub, model, cases) < 0.1


def test_dead_activations_and_dead_channels_do_no_harm():
    graph = OnnxGraph()
    weights = np.zeros((3, 2, 1, 1))
    weights[0] = 1.0
    value = graph.node("Conv", graph.input("x", 1, 2, 4, 4), graph.constant(weights), graph.constant([0.0, 0.5, -9.0]))
    dead = graph.node("Relu", graph.node("Mul", value, graph.constant(0.0)))
    model, hub, cases = quantised(graph, value, graph.conv(dead, (3, 2), (1, 1)))
    assert error(hub, model, cases) < 0.1
    assert all(
        np.isfinite(array).all() for value in hub.graph.initializers.values() if (array := constant(value)) is not None
    )


def test_the_float_hub_stays_as_it_was():
    graph = OnnxGraph()
    value = graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3))
    model = graph.model(graph.node("Softmax", graph.reshape(value, 1, 64)))
    simplify(model)
    before = serialise(model)
    ranges = calibrate(model, [{"x": np.ones((1, 3, 6, 6), np.float32)}], lambda _: None)
    first, second = (quantise(model, ranges, Settings()) for _ in range(2))
    assert serialise(model) == before
    assert serialise(first) == serialise(second)
