"""Recurrent layers in TFLite: every step written out over one set of weights, exactly as onnxruntime computes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_compiler.lowered.costs import macs
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.fp16 import fp16_weights
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, kinds
from support.onnx_graphs import OnnxGraph

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, FEATURES, HIDDEN = 4, 2, 3, 5


def layer(
    operator: str,
    *,
    direction: str = "forward",
    bias: bool = True,
    initial: str = "none",
    peepholes: bool = False,
    outputs: Iterable[int] = (0, 1),
    **attributes: object,
) -> ir.Model:
    """One recurrent layer; initial states may be none, constants or inputs."""
    graph = OnnxGraph()
    directions, gates = 2 if direction == "bidirectional" else 1, GATES[operator]
    state = (directions, BATCH, HIDDEN)
    states = {
        "none": lambda _: "",
        "constant": lambda _: graph.weights(*state),
        "input": lambda name: graph.input(name, *state),
    }[initial]
    operands = [
        graph.input("x", STEPS, BATCH, FEATURES),
        graph.weights(directions, gates * HIDDEN, FEATURES),
        graph.weights(directions, gates * HIDDEN, HIDDEN),
        graph.weights(directions, 2 * gates * HIDDEN) if bias else "",
        "",
        states("hidden"),
    ]
    if operator == "LSTM":
        operands += [states("cell"), graph.weights(directions, 3 * HIDDEN) if peepholes else ""]
    count = 3 if operator == "LSTM" else 2
    name = graph.node(operator, *operands, outputs=count, hidden_size=HIDDEN, direction=direction, **attributes)
    return graph.model(*(f"{name}_{index}" if index else name for index in outputs))


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("initial", ["none", "constant", "input"])
def test_all_outputs_of_a_layer_agree_in_every_direction_and_from_every_state(operator, direction, initial):
    outputs = (0, 1, 2) if operator == "LSTM" else (0, 1)
    assert_export_agrees(layer(operator, direction=direction, initial=initial, outputs=outputs))


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_biases_may_be_left_out(operator):
    assert_export_agrees(layer(operator, bias=False))


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_peepholes_see_the_cell(direction):
    assert_export_agrees(layer("LSTM", peepholes=True, direction=direction))


@pytest.mark.parametrize("initial", ["none", "input"])
def test_a_gru_may_reset_before_or_behind_the_recurrent_product(initial):
    assert_export_agrees(layer("GRU", linear_before_reset=1, initial=initial))


def test_activation_functions_may_be_others_in_each_direction():
    activations = ["Sigmoid", "Relu", "Tanh", "Sigmoid", "Tanh", "Relu"]
    assert_export_agrees(layer("LSTM", activations=activations, direction="bidirectional"))


def test_the_steps_share_their_weights():
    graph = assert_export_agrees(layer("LSTM", outputs=[1]))
    steps = [operator for operator in graph.operators if operator.kind == "FULLY_CONNECTED"][1:]
    assert len(steps) == STEPS
    assert len({operator.inputs[1] for operator in steps}) == 1
    assert macs(graph) == STEPS * BATCH * 4 * HIDDEN * (FEATURES + HIDDEN)


def test_half_width_weights_stay_so():
    model = layer("LSTM")
    half = fp16_weights(model)
    data, graph = export_tflite(half, io="float", io_layout="source")
    stored = [tensor for tensor in graph.constants() if tensor.dtype == np.float16]
    assert sum(tensor.data.size for tensor in stored) == 4 * HIDDEN * (FEATURES + HIDDEN)
    assert len(data) < len(export_tflite(model, io="float", io_layout="source")[0])
    assert_export_agrees(half)


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_the_batch_may_come_first_in_the_source(operator):
    graph = OnnxGraph()
    gates = GATES[operator]
    operands = [graph.input("x", BATCH, STEPS, FEATURES)]
    operands += [graph.weights(1, gates * HIDDEN, size) for size in (FEATURES, HIDDEN)]
    name = graph.node(operator, *operands, outputs=2, hidden_size=HIDDEN, layout=1)
    source = graph.proto(name, f"{name}_1")
    hub = import_onnx(source.SerializeToString(), folder=Path(), input_shapes={})
    simplify(hub)
    assert [value.shape.numpy() for value in hub.graph.outputs] == [(BATCH, STEPS, 1, HIDDEN), (BATCH, 1, HIDDEN)]
    assert_export_agrees(hub)


@pytest.mark.parametrize(
    ("operator", "attributes", "reason"),
    [
        ("LSTM", {"clip": 3.0}, "clips"),
        ("LSTM", {"input_forget": 1}, "coupled"),
        ("RNN", {"activations": ["Softsign"]}, "Softsign"),
    ],
)
def test_what_has_no_lowering_is_refused_by_name(operator, attributes, reason):
    with pytest.raises(OperatorUnsupported, match=reason):
        export_tflite(layer(operator, **attributes), io="float", io_layout="source")


def test_sequences_of_different_lengths_are_refused():
    graph = OnnxGraph()
    operands = [graph.input("x", STEPS, BATCH, FEATURES), graph.weights(1, 5, FEATURES), graph.weights(1, 5, 5), ""]
    lengths = graph.constant([STEPS, STEPS - 1], np.int32)
    name = graph.node("RNN", *operands, lengths, hidden_size=5)
    with pytest.raises(OperatorUnsupported, match="lengths"):
        export_tflite(graph.model(name), io="float", io_layout="source")


def test_no_transpose_is_added():
    assert "TRANSPOSE" not in kinds(assert_export_agrees(layer("GRU")))
