"""Weights that make up for what changed before a layer, by least squares over typical cases, as far as these can tell.

Least squares over a hundred cases of a hundred inputs serve these cases, and no others. How far weights may go is
found by cross-validation: fitted to one half of the cases, they must serve the other (Hastie, Tibshirani, Friedman
2009, "The Elements of Statistical Learning", sections 3.4.1 and 7.10).

Source of the fit: He, Zhang, Sun 2017, arXiv:1707.06168, section 3.1, equation 2, with the error of what comes before
taken in, as Zhang, Zou, He, Sun 2016, arXiv:1505.06798, section 3.3, have it.
"""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.compress.least_squares import fitted
from edgefleet_compiler.compress.low_rank.algebra import Matrix
from edgefleet_compiler.compress.moments import Moments
from edgefleet_compiler.quantise.rounding.quadratic import Matrices
from edgefleet_compiler.quantise.rounding.second_order import damped

_RIDGES = (1.0, 0.1, 0.01)
"""What moving a weight costs, as a share of the inputs' mean variance."""


def refitted(weights: Matrices, halves: tuple[Moments, Moments], importance: Matrix | None = None) -> Matrices:
    """The weights that a layer is to have; those that it has where no others serve both halves better.

    Args:
        weights: That it has, shape (groups, channels, inputs).
        halves: Moments of the inputs that it gets now and the outputs that it should give.
        importance: Of its channels, shape (channels, channels); None where all count alike.
    """
    costs = {
        ridge: sum(
            _change(_fitted(weights, fit, ridge), weights, judge, importance)
            for fit, judge in (halves, reversed(halves))
        )
        for ridge in _RIDGES
    }
    best = min(costs, key=lambda ridge: costs[ridge])
    return _fitted(weights, halves[0].joined(halves[1]), best) if costs[best] < 0 else weights


def _fitted(weights: Matrices, moments: Moments, ridge: float) -> Matrices:
    """The T with the least variance of y - T x, plus that share of |T - W|²."""
    covariance = moments.covariance
    return fitted(weights, covariance, moments.cross_covariance, damped(covariance, ridge))


def _change(changed: Matrices, weights: Matrices, judge: Moments, importance: Matrix | None) -> float:
    """Of the weighted variance of what a layer gives wrongly: with some weights, over that with those it has."""
    moved = changed - weights
    middle = np.einsum("gci,gij->gcj", weights + changed, judge.covariance) - 2 * judge.cross_covariance
    if importance is not None:
        middle = np.einsum("cd,gdi->gci", importance, middle)
    return float(np.einsum("gci,gci->", moved, middle))
