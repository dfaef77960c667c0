"""Weights that make up for what a layer gets: inputs that rounding before it has changed.

Source: Nagel et al. 2020, arXiv:2004.10568, section 3.4, the asymmetric reconstruction: a layer with rounded weights is
to give, of the inputs that it has, what the float layer gives of those that it should have. Before rounding, these
weights are a least squares problem.
"""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.quantise.rounding.quadratic import Matrices, lower_factor, solved
from edgefleet_compiler.quantise.rounding.second_order import damped

DAMPING = 0.1
"""What moving a weight costs, as a share of the mean of the diagonal: the calibration set is not all there is."""


def target(weights: Matrices, gram: Matrices, cross: Matrices) -> Matrices:
    """The weights T with the least mean of |W x - T y|² + DAMPING |W - T|².

    Args:
        weights: W, shape (groups, channels, inputs).
        gram: The mean of y yᵀ, shape (groups, inputs, inputs), where y are inputs that the layer has.
        cross: The mean of x yᵀ, where x are inputs that it should have.
    """
    owed = np.einsum("gci,gij->gcj", weights, cross - gram)
    return weights + solved(owed, lower_factor(damped(gram, DAMPING)))
