"""TFLite's LSTM in the hub: its states are inputs and outputs, so that one inference follows another as there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees
from support.tflite_graphs import TfliteGraph, assert_close

STEPS, FEATURES, HIDDEN = 5, 3, 4


def lstm(*, time_major: bool = False, peepholes: bool = False, coupled: bool = False, **options: Any) -> LoweredGraph:
    """One layer over five steps of three features."""
    graph = TfliteGraph()
    shape = (STEPS, 1, FEATURES) if time_major else (1, STEPS, FEATURES)
    operands: list[str | None] = [graph.input(shape)]
    for columns in (FEATURES, HIDDEN):
        operands += [graph.weights(HIDDEN, columns) for _ in range(4)]
    operands += [graph.weights(HIDDEN) if peepholes else None for _ in range(3)]
    operands += [graph.weights(HIDDEN) for _ in range(4)]
    if coupled:
        for position in (1, 5, 9, 12):
            operands[position] = None
    operands += [None, None, graph.state((1, HIDDEN), np.float32), graph.state((1, HIDDEN), np.float32)]
    given = {"fused_activation_function": "TANH", "time_major": time_major, **options}
    return graph.graph(graph.add("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, (*shape[:2], HIDDEN), **given))


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize("peepholes", [True, False])
def test_inferences_that_follow_each_other_agree(time_major: bool, peepholes: bool) -> None:
    graph = lstm(time_major=time_major, peepholes=peepholes)
    data = write_tflite(graph)
    session = Session(import_tflite(data), optimise=False)
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    states = [np.zeros((1, HIDDEN), np.float32)] * 2
    random = np.random.default_rng(0)
    for _ in range(3):
        source = random.normal(size=graph.tensors[graph.inputs[0]].shape).astype(np.float32)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], source)
        interpreter.invoke()
        theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        ours, *states = session.run(dict(zip(session.inputs, [source, *states], strict=True))).values()
        assert_close([ours], [theirs])


def test_what_was_lifted_is_lowered_again() -> None:
    model = import_tflite(write_tflite(lstm()))
    simplify(model)
    assert_export_agrees(model)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"cell_clip": 2.0}, "clips"), ({"coupled": True}, "coupled"), ({"fused_activation_function": "RELU"}, "RELU")],
)
def test_variants_are_refused_by_name(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(OperatorUnsupported, match=reason):
        import_tflite(write_tflite(lstm(**options)))
