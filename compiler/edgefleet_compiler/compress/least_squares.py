"""Least squares with a price for moving weights: few cases must not move what they hardly tell anything about."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.quantise.rounding.quadratic import Matrices, lower_factor, solved


def fitted(weights: Matrices, inputs: Matrices, cross: Matrices, damped: Matrices) -> Matrices:
    """The T with the least mean of |y - T x|², plus the price of T - W.

    Args:
        weights: W, shape (groups, channels, inputs).
        inputs: Means of x xᵀ, or covariances, shape (groups, inputs, inputs).
        cross: Those of y xᵀ, shape (groups, channels, inputs).
        damped: The inputs' with the price of moving each weight on the diagonal, positive definite.
    """
    owed = cross - np.einsum("gci,gij->gcj", weights, inputs)
    return weights + solved(owed, lower_factor(damped))
