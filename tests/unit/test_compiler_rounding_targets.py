"""Weights that make up for inputs which rounding before has changed."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.quantise.rounding.quadratic import errors
from edgefleet_compiler.quantise.rounding.targets import DAMPING, target

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(2, 3, 5))
WANTED = RANDOM.normal(size=(2, 200, 5))


def means(present):
    gram = present.swapaxes(1, 2) @ present / present.shape[1]
    return gram, WANTED.swapaxes(1, 2) @ present / present.shape[1]


def test_where_inputs_are_right_weights_stay():
    np.testing.assert_allclose(target(WEIGHTS, *means(WANTED)), WEIGHTS, atol=1e-12)


def test_an_input_that_is_too_small_gets_more_weight():
    present = WANTED * np.array([1, 1, 1, 1, 0.7])
    moved = target(WEIGHTS, *means(present))
    assert np.all(np.abs(moved[..., 4]) > np.abs(WEIGHTS[..., 4]) * 1.05)


def test_the_target_has_the_least_error_and_cost_of_moving():
    present = WANTED + RANDOM.normal(size=WANTED.shape) / 3
    gram, cross = means(present)
    found = target(WEIGHTS, gram, cross)
    price = DAMPING * np.trace(gram, axis1=1, axis2=2)[:, np.newaxis] / 5

    def cost(weights):
        outputs = np.einsum("gci,gpi->gcp", WEIGHTS, WANTED) - np.einsum("gci,gpi->gcp", weights, present)
        return np.square(outputs).mean(axis=2) + price * np.square(weights - WEIGHTS).sum(axis=2)

    for _ in range(20):
        assert np.all(cost(found) < cost(found + RANDOM.normal(size=found.shape) / 50))
    assert np.all(errors(found - WEIGHTS, gram) > 0)
