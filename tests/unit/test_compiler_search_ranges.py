"""Choosing methods of ranges: never worse than min-max where it was measured, the same each time, fit for a recipe."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.quantise.search.ranges import QUICK, THOROUGH, choose_ranges, with_ranges
from edgefleet_compiler.quantise.search.trial import Trial
from edgefleet_compiler.quantise.settings import Method, Settings
from support.onnx_graphs import OnnxGraph
from support.searched_nets import Searched, classifier, whole

NETS = {"classifier": classifier, "unet": lambda: whole("unet-nearest"), "transformer": lambda: whole("transformer")}


def chosen(net, effort):
    return choose_ranges(net.model, net.seen, net.cases, net.settings, effort)


def noise(net, words):
    trial = Trial(net.model, net.quantised, net.reference)
    return trial.measure(net.candidates.parameters_of(words)).noise


@pytest.mark.parametrize("name", NETS)
def test_more_effort_never_makes_more_noise(name):
    net = Searched(NETS[name]())
    quick, thorough = chosen(net, QUICK), chosen(net, THOROUGH)
    plain = noise(net, net.candidates.uniform("min-max"))
    assert noise(net, quick) <= plain
    assert noise(net, thorough) <= noise(net, quick)


def test_what_is_large_and_does_not_reach_the_outputs_is_clipped():
    graph = OnnxGraph(1)
    into, out = graph.random.normal(0, 0.35, (8, 8)), graph.random.normal(0, 0.35, (4, 8))
    into[0] *= 50
    out[:, 0] = 0
    level = graph.node("Gemm", graph.input("x", 1, 8), graph.constant(into), graph.constant(np.zeros(8)), transB=1)
    level = graph.node("Relu", level)
    net = Searched(graph.model(graph.node("Gemm", level, graph.constant(out), graph.constant(np.zeros(4)), transB=1)))
    words = chosen(net, THOROUGH)
    assert words[level] != "min-max"
    assert noise(net, words) < noise(net, net.candidates.uniform("min-max"))


def test_every_observed_activation_gets_a_method_and_those_that_share_parameters_the_same():
    net = Searched(classifier())
    words = chosen(net, THOROUGH)
    assert list(words) == [value.name for group in net.candidates.groups for value in group.observed]
    for group in net.candidates.groups:
        assert len({words[value.name] for value in group.observed}) == 1
    for word in words.values():
        assert str(Method.parse(word)) == word


@pytest.mark.parametrize("effort", [QUICK, THOROUGH], ids=["quick", "thorough"])
def test_the_choice_is_the_same_each_time(effort):
    assert chosen(Searched(classifier()), effort) == chosen(Searched(classifier()), effort)


def test_settings_name_what_differs_from_the_commonest_method():
    words = {"b": "mse", "a": "min-max", "c": "mse"}
    settings = with_ranges(Settings(fully_connected="per-tensor"), words)
    assert settings == Settings(fully_connected="per-tensor", calibration="mse", ranges={"a": "min-max"})
    assert {name: str(settings.method_of(name)) for name in words} == words
    assert with_ranges(settings, {}) == settings


def test_a_net_without_integers_has_nothing_to_choose():
    graph = OnnxGraph()
    model = graph.model(graph.node("Exp", graph.input("x", 1, 4)))
    assert chosen(Searched(model), THOROUGH) == {}
