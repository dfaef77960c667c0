"""Mixed precision from measured sensitivities."""

from __future__ import annotations

import pytest

from edgefleet_compiler.quantise.search.mixed import Option, mix, options_of
from edgefleet_compiler.quantise.search.sensitivity import LayerNoise, Sensitivity, measure_sensitivity
from edgefleet_compiler.quantise.search.trial import Trial
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from support.searched_nets import Searched, classifier

BYTE, FLOAT = LayerSettings(compute="int8"), LayerSettings(compute="float")


def layer(name, weights, output):
    return LayerNoise(name, "Conv", f"{name}/out", weights, output, None)


def sensitivity(*layers):
    return Sensitivity(1.0, {}, layers)


def test_options_have_the_noise_of_the_layer_alone_and_none_where_it_is_not_rounded():
    coarse, fine = LayerSettings(weights="int4"), LayerSettings(weights="int8")
    measured = {
        coarse: sensitivity(layer("a", 0.3, 0.1), layer("b", 0.2, 0.0)),
        fine: sensitivity(layer("b", 0.1, 0.0)),
    }
    options = options_of(measured, lambda name, settings: len(name) + (settings is fine))
    assert options == {
        "a": [Option(coarse, 0.4, 1), Option(fine, 0.0, 2)],
        "b": [Option(coarse, 0.2, 1), Option(fine, 0.1, 2)],
    }


def test_a_mix_of_equal_costs_takes_the_least_noise():
    options = {"a": [Option(BYTE, 0.5, 1.0), Option(FLOAT, 0.1, 1.0)]}
    assert mix(options, least="cost", bound=1.0).layers == {"a": FLOAT}


def test_nothing_to_choose_is_a_mix():
    found = mix({}, least="cost", bound=0.1)
    assert (found.layers, found.noise, found.cost, found.within) == ({}, 0.0, 0.0, True)


def test_a_bound_that_nothing_keeps_gives_the_nearest():
    options = {"a": [Option(BYTE, 0.5, 1.0), Option(FLOAT, 0.1, 4.0)], "b": [Option(BYTE, 0.3, 1.0)]}
    found = mix(options, least="cost", bound=0.2)
    assert found.layers == {"a": FLOAT, "b": BYTE}
    assert not found.within
    assert found.noise == pytest.approx(0.4)


def test_a_mix_of_a_real_net_keeps_its_bound_about_when_everything_is_rounded_together():
    net = Searched(classifier())
    rounded = measure_sensitivity(net.model, net.quantised, net.reference, leave_out=False)
    measured = {BYTE: rounded, FLOAT: sensitivity()}
    options = options_of(measured, lambda _, settings: 4.0 if settings is FLOAT else 1.0)
    every = sum(option.noise for choices in options.values() for option in choices)
    found = mix(options, least="cost", bound=every / 4)
    assert found.within
    floats = [name for name, settings in found.layers.items() if settings is FLOAT]
    assert 0 < len(floats) < len(options) / 2
    mixed = Searched(net.model, Settings(layers={name: found.layers[name] for name in floats}))
    noise = Trial(net.model, mixed.quantised, net.reference).measure({}).noise
    assert noise < 0.7 * rounded.total
