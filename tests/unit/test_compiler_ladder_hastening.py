from __future__ import annotations

import onnx_ir as ir
import pytest

from edgefleet_compiler.benchmark.layer_times import LayerTime
from edgefleet_compiler.ladder.hastening import hastened
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from support.onnx_graphs import OnnxGraph

CONVERSIONS = LayerTime(4.0, 0.0)
LOSES, WINS = LayerTime(40.0, 10.0), LayerTime(5.0, 20.0)
IN_FLOAT = LayerSettings(compute="float", weights="int8")


def chain(*, unknown: bool = False) -> ir.Model:
    """Three convolutions; with an operator in front of the last that has no form in integers."""
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 8, 8), (3, 4), (3, 3)))
    value = graph.node("MaxPool", graph.node("Relu", graph.conv(value, (4, 4), (3, 3))), kernel_shape=[1, 1])
    value = graph.node("Exp", value) if unknown else value
    model = graph.model(graph.conv(value, (4, 4), (3, 3)))
    simplify(model)
    return model


def in_float(model: ir.Model, *times: LayerTime) -> list[bool] | None:
    """Which convolutions stay in float."""
    names = [node.name or "" for node in model.graph if node.op_type == "Conv"]
    found = hastened(model, Settings(), {None: CONVERSIONS, **dict(zip(names, times, strict=True))})
    if found is None:
        return None
    assert set(found.layers.values()) == {IN_FLOAT}
    return [name in found.layers for name in names]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((LOSES, WINS, WINS), [True, False, False]),
        ((WINS, WINS, LOSES), [False, False, True]),
        ((WINS, LOSES, WINS), [False, True, False]),
        ((LOSES, LOSES, WINS), [True, True, False]),
    ],
)
def test_layers_that_lose_in_int8_stay_in_float(times, expected):
    assert in_float(chain(), *times) == expected


def test_what_loses_less_than_its_conversions_take_stays_in_int8():
    loses_little = LayerTime(10.5, 10.0)
    assert in_float(chain(), LOSES, WINS, LayerTime(12.0, 13.0)) == [True, False, False]
    assert in_float(chain(), WINS, loses_little, WINS) is None


def test_what_wins_less_than_its_conversions_take_stays_in_float_with_the_others():
    assert in_float(chain(), LOSES, LayerTime(9.5, 10.0), LOSES) is None


def test_what_has_no_integers_is_a_border_in_float():
    little = LayerTime(10.0, 9.0)  # in int8, it would take conversions on either side
    assert in_float(chain(unknown=True), WINS, WINS, little) == [False, False, True]


def test_other_settings_stay():
    model = chain()
    names = [node.name or "" for node in model.graph if node.op_type == "Conv"]
    given = Settings(bias_correction=True, layers={names[2]: LayerSettings(weights="int4")})
    found = hastened(model, given, {None: CONVERSIONS, **dict(zip(names, (LOSES, WINS, WINS), strict=True))})
    assert found is not None
    assert found.bias_correction
    assert found.layers == {names[0]: IN_FLOAT, names[2]: LayerSettings(weights="int4")}


def test_without_times_nothing_is_chosen():
    assert hastened(chain(), Settings(), {}) is None
