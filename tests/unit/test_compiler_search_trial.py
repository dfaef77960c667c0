"""Trials: they compute what the quantised hub does, for any parameters, and nothing where pairs are left out."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.search.reference import Reference, decibels, spread
from edgefleet_compiler.quantise.search.trial import Trial, pair_parameters, pairs_of
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from support.onnx_graphs import OnnxGraph
from support.searched_nets import Searched, cases_for, classifier, whole

NETS = {
    "classifier": classifier,
    "unet": lambda: whole("unet-nearest"),
    "transformer": lambda: whole("transformer"),
    "lstm": lambda: whole("lstm"),
}


def sqnr_of(model, quantised, cases):
    """The worst output's, of the quantised hub itself in onnxruntime."""
    exact, rounded = Session(model), Session(quantised, optimise=False)
    ratios = {name: SignalToNoise(int(np.prod(exact.run(cases[0])[name].shape))) for name in exact.outputs}
    for case in cases:
        expected, seen = exact.run(case), rounded.run(case)
        for name, ratio in ratios.items():
            ratio.add(expected[name], seen[name])
    return min(ratio.decibels() for ratio in ratios.values())


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("word", ["min-max", "percentile 99", "mse x 0.9"])
def test_a_trial_has_the_sqnr_of_the_hub_that_is_really_quantised_so(name, word):
    net = Searched(NETS[name]())
    trial = Trial(net.model, net.quantised, net.reference)
    measure = trial.measure(net.candidates.parameters_by(word))
    assert measure.sqnr_db == pytest.approx(sqnr_of(net.model, net.quantised_by(word), net.cases), abs=0.1)


def test_layers_of_other_types_are_tried_as_they_are():
    model = classifier()
    convolutions = [node.name for node in model.graph if node.op_type == "Conv"]
    settings = Settings(
        layers={convolutions[0]: LayerSettings(compute="int16"), convolutions[2]: LayerSettings(compute="float")}
    )
    net = Searched(model, settings)
    measure = Trial(model, net.quantised, net.reference).measure({})
    assert {each.dtype for each in pair_parameters(net.quantised).values()} == {"int8", "int16"}
    assert measure.sqnr_db == pytest.approx(sqnr_of(model, net.quantised, net.cases), abs=0.1)


@pytest.mark.parametrize("name", NETS)
def test_without_pairs_and_with_float_constants_nothing_differs(name):
    net = Searched(NETS[name]())
    measure = Trial(net.model, net.quantised, net.reference, rounded=()).measure_only({})
    assert measure.sqnr_db > 110  # what reordered sums in float32 leave
    assert measure.agreement == 1
    assert measure.noise < 1e-8


def test_the_constants_of_single_layers_can_be_those_of_the_float_hub():
    net = Searched(classifier())
    names = {node.name for node in net.model.graph if node.op_type == "Conv"}
    noises = [
        Trial(net.model, net.quantised, net.reference, rounded=rounded).measure_only({}).noise
        for rounded in ((), sorted(names)[:1], names, None)
    ]
    assert noises == sorted(noises)
    assert noises[1] > 10 * noises[0]


def test_the_noises_of_single_pairs_are_of_the_order_of_that_of_all():
    net = Searched(classifier())
    trial = Trial(net.model, net.quantised, net.reference, rounded=())
    every = trial.measure({}).noise
    alone = [trial.measure_only({name: given}).noise for name, given in trial.parameters.items()]
    assert sum(alone) / 4 < every < 4 * sum(alone)


def test_a_value_that_is_rounded_twice_has_two_pairs_by_one_name():
    net = Searched(classifier())
    again = [name for name in pair_parameters(net.quantised) if "/rescaled" in name]
    assert len(again) == 1  # the Sigmoid, whose parameters the Concat does not share
    gate = again[0].partition("/")[0]
    assert pairs_of(pair_parameters(net.quantised), [gate]) == [gate, again[0]]


def test_noise_is_what_the_worst_output_has():
    graph = OnnxGraph()
    source = graph.input("x", 1, 8)
    fine, coarse = graph.gemm(source, 8, 3), graph.gemm(source, 8, 3)
    model = graph.model(fine, coarse)
    cases = cases_for(model, 12)
    reference = Reference(model, cases)
    exact = [Session(model).run(case) for case in cases]
    values = {name: np.stack([each[name] for each in exact]).astype(np.float64) for name in (fine, coarse)}
    values[coarse][3] += 0.5
    measure = reference.measure(values, {})
    outputs = np.stack([each[coarse] for each in exact])
    expected = outputs[0].size * 0.25 / np.square(outputs - outputs.mean(axis=0)).sum()
    assert measure.noise == pytest.approx(expected, rel=1e-4)
    assert np.argmax(measure.by_case) == 3
    assert measure.by_case.sum() == pytest.approx(measure.noise)


def test_noise_before_a_softmax_is_expected_over_all_cases():
    graph = OnnxGraph()
    scores = graph.gemm(graph.input("x", 1, 8), 8, 4)
    model = graph.model(graph.node("Softmax", scores, axis=1))
    (output,) = (value.name for value in model.graph.outputs)
    cases = cases_for(model, 10)
    reference = Reference(model, cases)
    noise = np.random.default_rng(1).normal(0, 0.1, (10, 1, 4))
    exact = Session(model)
    before = reference.run(Session(graph.model(scores, output)), {})[scores]

    def softmax(array):
        powers = np.exp(array)
        return powers / powers.sum(axis=-1, keepdims=True)

    clean = softmax(before)
    every = [softmax(before[i] + s * noise[j]) - clean[i] for i in range(10) for j in range(10) for s in (1, -1)]
    power = np.square(every).sum() / 20
    values = {scores: before + noise, output: softmax(before + noise)}
    signal = np.square(clean - clean.mean(axis=0)).sum()
    measure = reference.measure(values, {})
    assert exact.outputs == [output]
    assert measure.noise == pytest.approx(power / signal, rel=1e-4)
    assert measure.seen == pytest.approx(np.square(softmax(before + noise) - clean).sum() / signal, rel=1e-3)
    assert decibels(measure.seen) == measure.sqnr_db


def test_spread_cases_lie_evenly_and_are_no_more_than_wanted():
    assert list(spread(iter(range(10)), 10, 4)) == [0, 3, 6, 9]
    assert list(spread(iter(range(3)), 3, 8)) == [0, 1, 2]


def test_the_quantised_hub_stays_as_it_is():
    net = Searched(classifier())
    before = pair_parameters(net.quantised)
    Trial(net.model, net.quantised, net.reference, rounded=())
    assert pair_parameters(net.quantised) == before
