"""Cases on their way through a hub: values are those of the whole hub, whatever room there is for what waits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.passage import ROOM, Passage
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.dynamic import dynamic
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from support.onnx_graphs import OnnxGraph

RANDOM = np.random.default_rng(3)
CASES = [{"x": RANDOM.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(6)]
ROOMS = pytest.mark.parametrize("room", [0, 20_000, ROOM], ids=["none", "for some values", "for all"])


def float_hub():
    """Three convolutions, around the second of which goes a shortcut."""
    graph = OnnxGraph(seed=2)
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 8, 8), (3, 8), (3, 3)))
    second = graph.node("Add", graph.node("Relu", graph.conv(first, (8, 8), (1, 1))), first)
    model = graph.model(graph.node("GlobalAveragePool", graph.conv(second, (8, 4), (3, 3))))
    simplify(model)
    return model


@pytest.fixture
def hub():
    model = float_hub()
    return quantise(model, calibrate(model, CASES, lambda _: None), Settings())


def layers(model):
    return [node for node in model.graph if node.op_type == "Conv"]


def whole(model, name):
    copy = model.clone()
    copy.graph.outputs[:] = [value for node in copy.graph for value in node.outputs if value.name == name]
    session = Session(copy, optimise=False)
    return [session.run(case)[name] for case in CASES]


@ROOMS
def test_what_layers_give_is_what_they_give_in_the_whole_hub(hub, room):
    passage = Passage(hub, CASES, room=room)
    for layer in layers(hub):
        wanted = layer.outputs[0]
        seen = list(passage.values(wanted, before=layer))
        np.testing.assert_array_equal(seen, whole(hub, wanted.name))


@ROOMS
def test_what_is_changed_of_a_layer_shows_in_those_after_it(hub, room):
    passage = Passage(hub, CASES, room=room)
    changed, reader = layers(hub)[1:]
    before = list(passage.values(changed.inputs[0], before=changed))
    stored = changed.inputs[1].producer().inputs[0]
    unchanged = whole(hub, reader.inputs[0].name)
    stored.const_value = ir.Tensor(constant(stored) // 2, name=stored.name)
    np.testing.assert_array_equal(before, whole(hub, changed.inputs[0].name))
    seen = list(passage.values(reader.inputs[0], before=reader))
    np.testing.assert_array_equal(seen, whole(hub, reader.inputs[0].name))
    assert not np.array_equal(seen, unchanged)


def test_an_input_of_the_hub_is_taken_from_the_cases(hub):
    (first, *_) = layers(hub)
    seen = list(Passage(hub, CASES).values(hub.graph.inputs[0], before=first))
    np.testing.assert_array_equal(seen, [case["x"] for case in CASES])


def test_the_hub_and_the_cases_are_left_as_they_are(hub):
    nodes, cases = [node.name for node in hub.graph], [dict(case) for case in CASES]
    list(Passage(hub, CASES).values(layers(hub)[1].outputs[0], before=layers(hub)[1]))
    assert [node.name for node in hub.graph] == nodes
    assert [case.keys() for case in CASES] == [case.keys() for case in cases]


@pytest.mark.parametrize("room", [0, ROOM], ids=["none", "for all"])
def test_what_is_rounded_at_run_time_waits_as_reals(room):
    # The integers alone say nothing: their scale is another in each case.
    rounded_late = dynamic(float_hub(), Settings(), "tflite")
    passage = Passage(rounded_late, CASES, room=room)
    for layer in layers(rounded_late):
        wanted = layer.outputs[0]
        seen = list(passage.values(wanted, before=layer))
        np.testing.assert_array_equal(seen, whole(rounded_late, wanted.name))
