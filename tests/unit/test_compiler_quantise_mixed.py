"""Single layers that compute otherwise than the scheme: where pairs stand then, and what both runtimes compute."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.layers import layers_of
from edgefleet_compiler.quantise.placement import place
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit
from support.exports import run_hub, run_tflite
from support.integer_layers import LAYERS, cases_of, net_of, quantised_net
from support.onnx_graphs import OnnxGraph


def mixed(**computes):
    """Settings of layers by their names without ``node_``."""
    return Settings(layers={f"node_{name}": LayerSettings(compute=compute) for name, compute in computes.items()})


def layer_of(model):
    """The name of a net's layer under test: of the last node before the last convolution."""
    return [node.name for node in model.graph if node.op_type != "Transpose"][-2]


def asked_of(scheme, compute, layers):
    return [(layer, scheme, compute) for layer in layers]


@pytest.mark.parametrize(
    ("layer", "scheme", "compute"),
    [
        *asked_of("int8", "int16", [layer for layer in LAYERS if layer.split()[0] in SIXTEEN_BITS]),
        *asked_of("int8", "float", LAYERS),
        *asked_of("int16", "int8", LAYERS),
    ],
)
def test_both_formats_compute_what_the_hub_does(layer, scheme, compute):
    model = net_of(layer)
    hub = quantised_net(model, scheme, Settings(layers={layer_of(model): LayerSettings(compute=compute)}))
    cases = cases_of(model)
    exact, expected = (np.stack([run_hub(each, case)[0] for case in cases]) for each in (model, hub))
    # Where two roundings of 8 bits meet, a tie may fall either way; then all that follows differs by that step.
    allowed = 2.01 * float(np.ptp(exact)) / 255
    tflite, _ = export_tflite(hub, io="float", io_layout="source")
    onnx = export_onnx(hub, max_opset=21, io="float", io_layout="source")
    runs = [lambda case: run_tflite(tflite, case), lambda case: run_tflite(tflite, case, delegates=False)]
    runs += [open_runner(onnx, "onnx", execution=execution).run for execution in ("plain", "deployed")]
    for run in runs:
        assert np.abs(np.stack([run(case)[0] for case in cases]) - expected).max() <= allowed


def two_layers(**attributes):
    graph = OnnxGraph()
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 8), (3, 3)), name="relu")
    pooled = graph.node("MaxPool", first, kernel_shape=[2, 2], name="pool")
    model = graph.model(graph.conv(pooled, (8, 4), (1, 1), **attributes))
    simplify(model)
    return model


def pairs(hub):
    """For each node but those of pairs: what it reads and what reads it, by element types."""
    found = {}
    for node in hub.graph:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            before = node.inputs[0].producer()
            behind = {each.op_type: each for each in node.outputs[0].consumers()}.get("QuantizeLinear")
            given = before is not None and before.op_type == "DequantizeLinear" and constant(before.inputs[0]) is None
            found[node.name] = (
                str(before.inputs[0].dtype) if given else "float",
                "float" if behind is None else str(behind.outputs[0].dtype),
            )
    return found


def test_a_float_layer_keeps_its_weights_and_reads_what_its_neighbours_rounded():
    hub = quantised_net(two_layers(), "int8", mixed(conv_6="float"))
    last = hub.graph[-1]
    assert last.op_type == "Conv"
    assert constant(last.inputs[1]).dtype == np.float32
    assert pairs(hub)["node_conv_6"] == ("INT8", "float")


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_a_float_layer_has_narrow_weights_where_the_recipe_says_so(weights):
    graph = OnnxGraph()
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 8), (3, 3)), name="relu")
    model = graph.model(graph.conv(first, (8, 16), (3, 3)))
    simplify(model)
    hub = quantised_net(
        model, "int8", Settings(layers={"node_conv_6": LayerSettings(compute="float", weights=weights)})
    )
    (widened,) = (node.inputs[1].producer() for node in hub.graph if node.name == "node_conv_6")
    assert str(widened.inputs[0].dtype) == weights.upper()
    case = cases_of(model)[0]
    expected = run_hub(hub, case)[0]
    tflite, _ = export_tflite(hub, io="float", io_layout="source")
    onnx = export_onnx(hub, max_opset=21, io="float", io_layout="source")
    for seen in (run_tflite(tflite, case)[0], open_runner(onnx, "onnx").run(case)[0]):
        np.testing.assert_allclose(seen, expected, atol=2.01 * np.ptp(expected) / 255)


def test_a_float_layer_first_leaves_the_input_in_float():
    hub = quantised_net(two_layers(), "int8", mixed(relu="float"))
    found = pairs(hub)
    assert found["node_conv_3"] == ("float", "float")  # the activation fused into it makes one layer with it
    assert found["node_relu"] == ("float", "INT8")  # the pool behind computes in integers


def test_a_wider_layer_reads_and_is_read_through_a_pair_of_its_own():
    hub = quantised_net(two_layers(), "int8", mixed(pool="int16"))
    assert pairs(hub)["node_relu"] == ("float", "INT8")
    assert pairs(hub)["node_pool"] == ("INT16", "INT16")
    assert pairs(hub)["node_conv_6"] == ("INT8", "INT8")
    types = [str(node.outputs[0].dtype) for node in hub.graph if node.op_type == "QuantizeLinear"]
    assert sorted(types) == ["INT16", "INT16", *["INT8"] * 4]


def test_operators_that_share_parameters_follow_the_widest_that_asks():
    model = two_layers()
    placement = place(model.graph, layers_of(model.graph, mixed(relu="int16")))
    assert [(group.values[-1].name, group.dtype) for group in placement.groups] == [
        ("x", "int16"), ("pool", "int16"), ("conv_6", "int8"),
    ]  # fmt: skip
    assert pairs(quantised_net(model, "int8", mixed(relu="int16")))["node_pool"] == ("INT16", "INT16")


@pytest.mark.parametrize("operator", ["Sigmoid", "Softmax", "Tanh"])
@pytest.mark.parametrize("asked", [{"gate": "int16"}, {"moved": "int16"}, {"gate": "float"}, {"moved": "float"}])
def test_prescribed_values_are_rescaled_for_what_moves_them_in_another_type(operator, asked):
    graph = OnnxGraph()
    gate = graph.node(operator, graph.conv(graph.input("x", 1, 3, 6, 6), (3, 8), (3, 3)), name="gate")
    moved = graph.node("Slice", gate, *(graph.constant([number], np.int64) for number in (1, 4, 2)), name="moved")
    model = graph.model(graph.conv(moved, (8, 4), (1, 1)))
    simplify(model)
    hub, cases = quantised_net(model, "int8", mixed(**asked)), cases_of(model)
    exact, seen = (np.stack([run_hub(each, case)[0] for case in cases]) for each in (model, hub))
    assert np.abs(seen - exact).max() <= 6 * np.ptp(exact) / 255
    tflite = np.stack([run_tflite(export_tflite(hub, io="float", io_layout="source")[0], case)[0] for case in cases])
    assert np.abs(tflite - seen).max() <= 2.01 * np.ptp(exact) / 255


def test_a_layer_that_there_is_not_is_named_with_those_near_and_those_there_are():
    with pytest.raises(RecipeMalformed, match="'node_conv_7'") as refusal:
        quantised_net(two_layers(), "int8", mixed(conv_7="float"))
    assert "perhaps 'node_conv_6'" in str(refusal.value)
    assert "names of layers: 'node_conv_3', 'node_relu', 'node_pool', 'node_conv_6'" in str(refusal.value)


@pytest.mark.parametrize(("operator", "compute"), [("HardSwish", "int16"), ("Exp", "int8")])
def test_a_layer_without_such_a_form_is_refused_by_name(operator, compute):
    graph = OnnxGraph()
    value = graph.node(operator, graph.conv(graph.input("x", 1, 3, 6, 6), (3, 8), (3, 3)), name="layer")
    model = graph.model(graph.conv(value, (8, 4), (1, 1)))
    simplify(model)
    with pytest.raises(RecipeUnfit, match=f"'node_layer' \\({operator}\\) cannot compute with {compute}"):
        quantised_net(model, "int8", mixed(layer=compute))


def detector():
    """Boxes of hundreds of pixels beside scores below one, joined to one output."""
    graph = OnnxGraph(seed=5)
    image = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 8, 8), (3, 16), (3, 3)))
    pixels = graph.constant(np.full((4, 1, 1), 150.0))
    boxes = graph.node("Mul", graph.conv(image, (16, 4), (1, 1)), pixels, name="boxes")
    scores = graph.node("Sigmoid", graph.conv(image, (16, 6), (1, 1)), name="scores")
    model = graph.model(graph.node("Concat", boxes, scores, axis=1, name="joined"))
    simplify(model)
    return model


def score_quality(model, hub):
    """SQNR of the scores in the file that LiteRT runs, in dB."""
    data, _ = export_tflite(hub, io="float", io_layout="source")
    meter = SignalToNoise(6 * 36)
    for case in cases_of(model):
        meter.add(run_hub(model, case)[0][:, 4:], run_tflite(data, case)[0][:, 4:])
    return meter.decibels()


def test_scores_beside_boxes_survive_where_the_join_is_float_or_wider():
    model = detector()
    drowned = score_quality(model, quantised_net(model, "int8"))
    in_float = score_quality(model, quantised_net(model, "int8", mixed(joined="float")))
    wider = score_quality(model, quantised_net(model, "int8", mixed(joined="int16", scores="int16")))
    assert drowned < 5
    assert in_float > 20
    assert wider > 20
