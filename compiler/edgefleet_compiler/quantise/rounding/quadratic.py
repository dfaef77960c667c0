"""The error that rounding is to make small: of each channel, the quadratic form e H eᵀ with the layer's Gram matrix.

All sums of products go through ``numpy.einsum``, which never hands them to the BLAS library: that one adds in another
order on another number of threads, and one bit may round a weight the other way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrices = NDArray[np.float64]


def errors(difference: Matrices, gram: Matrices) -> Matrices:
    """Mean square error of each output channel.

    Args:
        difference: Of weights, shape (groups, channels, inputs).
        gram: Shape (groups, inputs, inputs).

    Returns:
        Shape (groups, channels).
    """
    found: Matrices = np.einsum("gci,gci->gc", gradient(difference, gram), difference)
    return found


def gradient(difference: Matrices, gram: Matrices) -> Matrices:
    """Half the derivative of ``errors`` by the difference, of its shape."""
    found: Matrices = np.einsum("gci,gji->gcj", difference, gram)
    return found


def lower_factor(gram: Matrices) -> Matrices:
    """The lower triangular L of H = L Lᵀ, one column after the other (Golub and Van Loan 2013, algorithm 4.2.1).

    Args:
        gram: Positive definite, shape (groups, inputs, inputs).
    """
    factor = np.zeros_like(gram)
    for k in range(gram.shape[-1]):
        known = np.einsum("gij,gj->gi", factor[:, k:, :k], factor[:, k, :k])
        column = gram[:, k:, k] - known
        factor[:, k:, k] = column / np.sqrt(column[:, :1])
    return factor


def solved(right: Matrices, factor: Matrices) -> Matrices:
    """The X of X L Lᵀ = B, by two substitutions.

    Args:
        right: B, shape (groups, channels, inputs).
        factor: L, shape (groups, inputs, inputs).
    """
    size = factor.shape[-1]
    half, found = np.zeros_like(right), np.zeros_like(right)
    for k in range(size):
        known = np.einsum("gci,gi->gc", half[..., :k], factor[:, k, :k])
        half[..., k] = (right[..., k] - known) / factor[:, k, k, np.newaxis]
    for k in reversed(range(size)):
        known = np.einsum("gci,gi->gc", found[..., k + 1 :], factor[:, k + 1 :, k])
        found[..., k] = (half[..., k] - known) / factor[:, k, k, np.newaxis]
    return found
