from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibration.observe import observe
from edgefleet_compiler.quantise.channel_rules import FIXED
from edgefleet_compiler.quantise.channels import track
from edgefleet_compiler.quantise.equalise import equalised, needs_equalising
from edgefleet_compiler.quantise.outliers import find_outliers
from edgefleet_compiler.source import load_source
from support.exports import run_hub
from support.onnx_graphs import OnnxGraph
from support.spoiled import spoiled

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def hub_of(graph, *outputs):
    model = graph.model(*outputs)
    simplify(model)
    return model


def samples(count=20, shape=(1, 3, 6, 6)):
    random = np.random.default_rng(7)
    return [{"x": random.normal(size=shape).astype(np.float32)} for _ in range(count)]


def seen(model, cases):
    return observe(model, cases, lambda _: None, histograms=False)


def spans(model, cases):
    hidden = seen(model, cases).activations["hidden"]
    return hidden.channel_highs - hidden.channel_lows


def free(model, name):
    """The classes of a value's channels that may be scaled; None where the value is not tracked."""
    known = {value.name: channels for value, channels in track(model.graph).values.items()}.get(name)
    return None if known is None else [int(number) for number in known.classes if number != FIXED]


@pytest.fixture(scope="module")
def digits():
    hub = load_source(DIGITS / "digits.onnx", input_shapes={}).hub
    images = np.load(DIGITS / "calibration.npz")["x"]
    source = hub.graph.inputs[0]
    cases = [{source.name: image.reshape(1, 8, 8, 1).astype(np.float32)} for image in images]
    return hub, cases


def test_channels_between_two_convolutions_are_free():
    graph = OnnxGraph()
    hidden = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)), name="hidden")
    model = hub_of(graph, graph.conv(hidden, (4, 2), (3, 3)))
    assert len(set(free(model, "hidden"))) == 4


def test_what_leaves_the_graph_or_meets_a_sigmoid_is_fixed():
    graph = OnnxGraph()
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)), name="first")
    second = graph.node("Sigmoid", first)
    model = hub_of(graph, graph.conv(second, (4, 2), (3, 3), bias=False))
    assert free(model, "first") == []
    assert free(model, model.graph.outputs[0].name) == []


@pytest.mark.parametrize(("low", "high", "count"), [(0.0, 6.0, 0), (0.0, np.inf, 4), (-1.0, 1.0, 0)])
def test_a_clip_lets_channels_be_scaled_only_where_its_bounds_are_zero_or_none(low, high, count):
    graph = OnnxGraph()
    source = graph.clip(graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)), low, high)
    model = hub_of(graph, graph.conv(source, (4, 2), (3, 3)))
    assert len(free(model, next(iter(model.graph)).outputs[0].name)) == count


def test_channels_that_an_add_joins_are_scaled_together():
    graph = OnnxGraph()
    x = graph.input("x", 1, 3, 6, 6)
    left, right = graph.conv(x, (3, 4), (3, 3)), graph.conv(x, (3, 4), (3, 3))
    total = graph.node("Relu", graph.node("Add", left, right, name="sum"))
    model = hub_of(graph, graph.conv(total, (4, 2), (3, 3)))
    assert free(model, "sum") == free(model, left) == free(model, right)
    assert len(set(free(model, "sum"))) == 4


def test_a_flattened_channel_is_one_class_at_all_its_places():
    graph = OnnxGraph()
    hidden = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)))
    model = hub_of(graph, graph.gemm(graph.reshape(hidden, 1, 64), 64, 5))
    reshape = next(node for node in model.graph if node.op_type == "Reshape")
    classes = free(model, reshape.outputs[0].name)
    assert classes == list(np.repeat(classes[::16], 16))
    assert len(set(classes)) == 4


def test_concatenated_channels_keep_their_own_classes():
    graph = OnnxGraph()
    x = graph.input("x", 1, 3, 6, 6)
    left, right = graph.conv(x, (3, 4), (3, 3)), graph.conv(x, (3, 2), (3, 3))
    joined = graph.node("Relu", graph.node("Concat", left, right, axis=1), name="joined")
    model = hub_of(graph, graph.conv(joined, (6, 2), (3, 3)))
    assert free(model, "joined") == free(model, left) + free(model, right)


@pytest.mark.parametrize("channels", ["outliers", "all"])
def test_an_equalised_model_computes_the_same_bits(digits, channels):
    hub, cases = digits
    model = spoiled(hub, 1).model
    changed = equalised(model, seen(model, cases[:32]), channels)
    before, after = Session(model, optimise=False), Session(changed, optimise=False)
    for case in cases[:32]:
        for ours, theirs in zip(after.run(case).values(), before.run(case).values(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert any(
        not np.array_equal(constant(ours.inputs[1]), constant(theirs.inputs[1]))
        for ours, theirs in zip(changed.graph, model.graph, strict=True)
        if ours.op_type in ("Conv", "Gemm")
    )


def test_equalising_brings_channels_to_like_ranges():
    graph = OnnxGraph(3)
    x = graph.input("x", 1, 3, 6, 6)
    hidden = graph.node("Relu", graph.conv(x, (3, 8), (3, 3)), name="hidden")
    model = hub_of(graph, graph.conv(hidden, (8, 4), (3, 3)))
    first = next(iter(model.graph))
    scale_rows(first, np.geomspace(1, 64, 8))
    before = spans(model, samples())
    after = spans(equalised(model, seen(model, samples())), samples())
    assert after.max() / np.median(after) < before.max() / np.median(before) / 2


def scale_rows(node, factors):
    """Multiply what a convolution gives, channel by channel."""
    for value in node.inputs[1:]:
        array = value.const_value.numpy()
        factors_here = factors.reshape(-1, *(1,) * (array.ndim - 1))
        value.const_value = ir.Tensor((array * factors_here).astype(np.float32), name=value.name)


def test_weights_that_two_layers_share_are_scaled_for_each_alone():
    graph = OnnxGraph()
    x = graph.input("x", 1, 4, 6, 6)
    weights = graph.weights(4, 4, 1, 1)
    first = graph.node("Relu", graph.node("Conv", x, weights))
    model = hub_of(graph, graph.node("Conv", first, weights))
    cases = [
        {"x": case["x"] * np.array([1, 1, 1, 500], np.float32).reshape(1, 4, 1, 1)}
        for case in samples(shape=(1, 4, 6, 6))
    ]
    changed = equalised(model, seen(model, cases))
    np.testing.assert_array_equal(run_hub(changed, [cases[0]["x"]])[0], run_hub(model, [cases[0]["x"]])[0])


def test_a_sound_model_has_no_outliers(digits):
    hub, cases = digits
    assert not needs_equalising(hub, seen(hub, cases))


@pytest.mark.parametrize("seed", range(20))
def test_the_channel_that_spoils_a_model_is_found(digits, seed):
    hub, cases = digits
    case = spoiled(hub, seed)
    found = find_outliers(case.model, seen(case.model, cases[:64]))
    assert (case.activation, case.channel) in [(outlier.activation, outlier.channel) for outlier in found]
    assert {outlier.channel for outlier in found} == {case.channel}
    assert all(outlier.excess == pytest.approx(case.factor, rel=0.5) for outlier in found)


def test_the_power_of_each_channel_is_its_mean_square():
    graph = OnnxGraph()
    model = hub_of(graph, graph.conv(graph.input("x", 1, 3, 6, 6), (3, 2), (1, 1)))
    cases = samples(5)
    stacked = np.stack([case["x"][0] for case in cases])
    expected = np.square(stacked, dtype=np.float64).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(seen(model, cases).activations["x"].channel_powers, expected, rtol=1e-5)


def test_a_channel_that_hardly_ever_passes_its_relu_is_not_raised_to_what_the_others_are():
    """Its integers would be finer than what they are summed from; XNNPACK refuses sums that get 256 times larger."""
    graph = OnnxGraph()
    convolved = graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3))
    model = hub_of(graph, graph.conv(graph.node("Relu", convolved, name="hidden"), (4, 2), (3, 3)))
    first = model.graph[0]
    highest = seen(model, samples()).activations["hidden"].channel_highs[0]
    bias = constant(first.inputs[2]) - np.array([highest - 1e-4, 0, 0, 0], np.float32)
    first.inputs[2].const_value = ir.Tensor(bias, name=first.inputs[2].name)

    before, copy = constant(first.inputs[1]), equalised(model, seen(model, samples()))
    raised = constant(copy.graph[0].inputs[1]) / before
    assert raised[0].max() <= 2.0**6
