"""Rounding of weights on small problems: never worse than to nearest, and near the best that there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefleet_compiler.quantise.rounding.adaptive import adaptive
from edgefleet_compiler.quantise.rounding.quadratic import errors, lower_factor
from edgefleet_compiler.quantise.rounding.second_order import damped, nearest, second_order

pytestmark = pytest.mark.property

SEEDS = st.integers(0, 2**32 - 1)
METHODS = pytest.mark.parametrize("method", [second_order, adaptive])


def problem(seed, groups=2, channels=3, inputs=5, largest=7, rows=(1, 20)):
    """Weights, correlated Gram matrices that may lack ranks, and scales that may clip."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=(groups, channels, inputs))
    mixing = random.normal(size=(groups, inputs, inputs))
    rows = random.normal(size=(groups, int(random.integers(*rows)), inputs)) @ mixing
    gram = rows.swapaxes(1, 2) @ rows / rows.shape[1]
    scales = np.abs(weights).max(axis=2, keepdims=True) / largest * random.uniform(0.6, 1.2)
    return weights, gram, scales


@METHODS
@given(SEEDS, st.sampled_from([1, 7, 127]))
def test_no_channel_is_worse_than_rounded_to_nearest(method, seed, largest):
    weights, gram, scales = problem(seed, inputs=12, largest=largest)
    integers = method(weights, gram, scales, largest)
    assert np.abs(integers).max() <= largest
    np.testing.assert_array_equal(integers, np.rint(integers))
    plain = nearest(weights, scales, largest)
    assert np.all(errors(weights - integers * scales, gram) <= errors(weights - plain * scales, gram) * (1 + 1e-9))


@METHODS
@given(SEEDS)
def test_inputs_without_correlation_are_rounded_to_nearest(method, seed):
    weights, gram, scales = problem(seed)
    diagonal = gram * np.eye(gram.shape[-1])
    np.testing.assert_array_equal(method(weights, diagonal, scales, 7), nearest(weights, scales, 7))


def best_errors(weights, gram, scales):
    """The least error of every way to round each weight up or down, or one further."""
    moves = np.array(list(product((-1, 0, 1, 2), repeat=weights.shape[-1])), np.float64)
    candidates = np.clip(np.floor(weights / scales)[..., np.newaxis, :] + moves, -7, 7)
    left = weights[..., np.newaxis, :] - candidates * scales[..., np.newaxis]
    return np.einsum("gcki,gij,gckj->gck", left, gram, left).min(axis=2)


def test_adaptive_rounding_is_mostly_the_best_there_is_and_second_order_is_near():
    best, left = [], {nearest_of: [], second_order: [], adaptive: []}
    for seed in range(60):
        weights, gram, scales = problem(seed, groups=4, channels=10, inputs=4, rows=(20, 40))
        best.append(best_errors(weights, gram, scales))
        for method, found in left.items():
            found.append(errors(weights - method(weights, gram, scales, 7) * scales, gram))
    ratios = {method: np.array(found) / np.maximum(best, 1e-12) for method, found in left.items()}
    assert np.mean(ratios[adaptive] < 1.001) > 0.8
    assert np.median(ratios[second_order]) < 1.1
    assert np.mean(ratios[adaptive]) < np.mean(ratios[second_order]) < np.mean(ratios[nearest_of]) / 1.5


def nearest_of(weights, _gram, scales, largest):
    return nearest(weights, scales, largest)


@given(SEEDS)
def test_a_factor_times_itself_is_what_it_came_from(seed):
    _, gram, _ = problem(seed, inputs=9)
    whole = damped(gram)
    factor = lower_factor(whole)
    np.testing.assert_array_equal(factor, np.tril(factor))
    np.testing.assert_allclose(factor @ factor.swapaxes(1, 2), whole, atol=1e-9 * float(np.abs(whole).max()))
    assert whole.shape == gram.shape
