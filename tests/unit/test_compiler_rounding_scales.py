"""Scales of 4-bit weights chosen by what rounding does to the outputs of a layer."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.dequantised import reals
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.rounding.quadratic import errors
from edgefleet_compiler.quantise.rounding.scales import with_chosen_scales
from edgefleet_compiler.quantise.rounding.second_order import damped, second_order
from edgefleet_compiler.quantise.rounding.sites import sites
from edgefleet_compiler.quantise.settings import Settings, Weights
from support.onnx_graphs import OnnxGraph


def network():
    graph = OnnxGraph(seed=8)
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 4, 8, 8), (4, 12), (3, 3)))
    return graph.model(graph.conv(value, (12, 6), (1, 1)))


def found(weights: Weights = "int4", **settings):
    """The sites of a quantised network, and Gram matrices of inputs that hang together."""
    model, random = network(), np.random.default_rng(2)
    cases = [{"x": random.normal(size=(1, 4, 8, 8)).astype(np.float32)} for _ in range(8)]
    quantised = quantise(model, calibrate(model, cases, lambda _: None), Settings(weights=weights, **settings))
    there = list(sites(model, quantised))
    rows = [random.normal(size=(400, site.layer.inputs)) @ mixing(random, site.layer.inputs) for site in there]
    return there, [(row.T @ row / len(row))[np.newaxis] for row in rows]


def mixing(random, size):
    return np.eye(size) + random.normal(size=(size, size)) / np.sqrt(size)


def test_second_order_rounding_has_a_smaller_error_by_the_chosen_scales():
    for site, gram in zip(*found(), strict=True):
        penalised, before = damped(gram, 0.1), site.scales
        after = with_chosen_scales(site, site.weights, gram).scales
        left = [site.weights - second_order(site.weights, penalised, each, 7) * each for each in (before, after)]
        old, new = (errors(each, penalised) for each in left)
        assert new.sum() < 0.97 * old.sum()


def test_biases_stand_for_the_same_reals_and_have_the_scale_of_the_products():
    for site, gram in zip(*found(), strict=True):
        reading, weights, bias = (value.producer() for value in site.node.inputs)
        before = reals(bias, constant(bias.inputs[0]))
        scales = constant(weights.inputs[1]).copy()
        with_chosen_scales(site, site.weights, gram)
        now = constant(weights.inputs[1])
        assert not np.array_equal(now, scales)
        np.testing.assert_allclose(constant(bias.inputs[1]), now * constant(reading.inputs[1]), rtol=1e-6)
        step = constant(bias.inputs[1]).max()
        np.testing.assert_allclose(reals(bias, constant(bias.inputs[0])), before, atol=step)


@pytest.mark.parametrize("settings", [{"weights": "int8"}, {"convolutions": "per-tensor"}])
def test_other_scales_stay(settings):
    for site, gram in zip(*found(**settings), strict=True):
        assert with_chosen_scales(site, site.weights, gram) is site
