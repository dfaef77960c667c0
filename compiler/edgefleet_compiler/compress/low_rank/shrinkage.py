"""Covariances of few cases, shrunk towards what is known without any: none, and all variances alike.

Of fewer cases than inputs, a covariance knows nothing of most directions, and factors that serve it alone serve no
other case.

Source: Chen, Wiesel, Eldar, Hero 2010, "Shrinkage Algorithms for MMSE Covariance Estimation", equation 23: the oracle
approximating shrinkage.
"""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.compress.low_rank.algebra import Matrix

_LEAST = 1e-6
"""Of the shrinkage: what keeps a covariance positive definite, whatever the cases."""


def shrunk(covariance: Matrix, count: int) -> Matrix:
    """A covariance, positive definite.

    Args:
        covariance: Of a sample, shape (size, size).
        count: Rows of the sample.
    """
    size = len(covariance)
    mean = float(np.trace(covariance)) / size
    if mean <= 0:
        return np.eye(size)
    square, trace = float(np.einsum("ij,ij->", covariance, covariance)), mean * size
    spread = (count + 1 - 2 / size) * (square - trace * mean)
    share = min(1.0, ((1 - 2 / size) * square + trace**2) / spread) if spread > 0 else 1.0
    share = max(share, _LEAST)
    return (1 - share) * covariance + share * mean * np.eye(size)
