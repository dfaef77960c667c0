"""Which layers get weights of 4 bits, by what that does to the outputs."""

from __future__ import annotations

import pytest

from edgefleet_compiler.checks.four_bits import layers_of_four_bits
from edgefleet_compiler.exports import export
from edgefleet_compiler.quantise.calibrate import Range
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.search.narrowing import Narrower
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.recipe import Recipe
from edgefleet_hardware.profile import load_profile
from support.searched_nets import Searched, classifier


@pytest.fixture(scope="module")
def net() -> Searched:
    return Searched(classifier())


def hub_by(net: Searched, settings: Settings):
    ranges = {name: Range(seen.low, seen.high) for name, seen in net.seen.activations.items()}
    return quantise(net.model, ranges, settings)


def narrower(net: Searched, settings: Settings | None = None, **options: object) -> Narrower:
    return Narrower(net.model, lambda given: hub_by(net, given), settings or Settings(), net.cases, **options)


def weights_bytes(net: Searched, settings: Settings) -> int:
    recipe = Recipe(scheme="int8", format="tflite", io="float", io_layout="source", seed=0, quantise=settings)
    return export(hub_by(net, settings), recipe, max_opset=None).weights_bytes


def test_what_is_to_be_saved_is_saved_in_the_file(net: Searched) -> None:
    plain, found = weights_bytes(net, Settings()), narrower(net)
    for saved in (1, found.most // 2, found.most):
        layers = found.layers(saved)
        assert layers is not None
        assert plain - weights_bytes(net, Settings(layers=layers)) >= saved


def test_the_more_is_to_be_saved_the_more_layers_are_narrow_and_nothing_is_for_nothing(net: Searched) -> None:
    found = narrower(net)
    counts = [
        [settings.weights for settings in (found.layers(saved) or {}).values()].count("int4")
        for saved in (0, found.most // 2, found.most)
    ]
    assert counts[0] == 0 < counts[1] < counts[2]


def test_more_than_all_layers_hold_cannot_be_saved(net: Searched) -> None:
    found = narrower(net)
    assert found.layers(found.most + 1) is None


def test_a_choice_makes_less_noise_than_the_layers_that_it_leaves_wide(net: Searched) -> None:
    found = narrower(net)
    layers = found.layers(found.most // 2)
    assert layers is not None
    turned = {"int8": "int4", "int4": "int8"}
    others = {name: LayerSettings(weights=turned[each.weights or "int8"]) for name, each in layers.items()}
    chosen, opposite = (net.reference.noise_of(hub_by(net, Settings(layers=each))) for each in (layers, others))
    assert chosen < opposite


def test_layers_that_may_not_be_narrow_are_left_alone_and_settings_stay(net: Searched) -> None:
    names = [node.name for node in net.model.graph if node.op_type == "Conv"]
    given = Settings(layers={names[0]: LayerSettings(compute="int8")})
    layers = narrower(net, given, layers=names[:2]).layers(40)
    assert layers is not None
    assert set(layers) == set(names[:2])
    assert layers[names[0]].compute == "int8"


def test_a_layer_that_computes_in_float_is_no_candidate(net: Searched) -> None:
    names = [node.name for node in net.model.graph if node.op_type == "Conv"]
    given = Settings(layers={names[-1]: LayerSettings(compute="float")})
    layers = narrower(net, given).layers(0)
    assert layers is not None
    assert layers[names[-1]] == LayerSettings(compute="float")


@pytest.mark.parametrize(
    ("target", "form", "scales", "count"),
    [
        ("x86-64", "onnx", "per-channel", 5),
        ("rpi4", "tflite", "per-channel", 5),
        ("nrf52840", "tflite", "per-tensor", 5),
        ("nrf52840", "tflite", "per-channel", 4),
    ],
)
def test_runtimes_tell_which_layers_they_take_in_four_bits(
    net: Searched, target: str, form: str, scales: str, count: int
) -> None:
    runtime = load_profile(target).runtime_for(form)
    assert len(layers_of_four_bits(net.model, runtime, scales)) == count
