"""The truncated factors of a matrix of weights: those that change the model's outputs least.

Of weights W and others W', the mean square of what changes further on is, to first order, the trace of
G (W - W') C (W - W')ᵀ: C is the covariance of the inputs (a mean is the bias's to make up for), G says how much a
change of the outputs matters. With G = L Lᵀ and C = K Kᵀ it is the square of the Frobenius norm of Lᵀ (W - W') K, and
the truncated singular value decomposition of Lᵀ W K has the least (Eckart and Young 1936).

Sources: Zhang, Zou, He, Sun 2016, "Accelerating Very Deep Convolutional Networks for Classification and Detection",
section 3.1, for the outputs' covariance; Hsu et al. 2022, "Language model compression with weighted low-rank
factorization", for the weighting by what matters further on; Wang et al. 2024, "SVD-LLM", for the triangular factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgefleet_compiler.compress.low_rank.algebra import Matrix, divided, eigenvectors, lower, product

_NOTHING = 1e-13
"""Eigenvalues below this share of the largest are what rounding leaves of zero; their vectors mean nothing."""


@dataclass(frozen=True)
class Decomposition:
    """A matrix of weights, and what its errors cost.

    Attributes:
        weights: W, shape (outputs, inputs).
        covariance: C, positive definite, shape (inputs, inputs).
        importance: G, positive definite, shape (outputs, outputs).
    """

    weights: Matrix
    covariance: Matrix
    importance: Matrix

    def at(self, rank: int) -> tuple[Matrix, Matrix]:
        """A of shape (outputs, rank) and B of shape (rank, inputs), whose product takes the place of W.

        Of weights of a lower rank, the rest of A and B is zero.
        """
        outputs, inputs = self.weights.shape
        left, right = np.zeros((outputs, rank)), np.zeros((rank, inputs))
        energies, vectors = self._eigenvectors
        kept = vectors[:, : min(rank, int(np.sum(energies > _NOTHING * max(energies[0], 0.0))))]
        used = kept.shape[1]
        if self._is_wide:
            left[:, :used] = divided(kept.T, self._outer).T
            right[:used] = product(kept.T, self._outer.T, self.weights)
        else:
            left[:, :used] = product(self.weights, self._inner, kept)
            right[:used] = divided(kept.T, self._inner)
        return left, right

    @property
    def _is_wide(self) -> bool:
        return bool(self.weights.shape[0] <= self.weights.shape[1])

    @cached_property
    def _outer(self) -> Matrix:
        return lower(self.importance)

    @cached_property
    def _inner(self) -> Matrix:
        return lower(self.covariance)

    @cached_property
    def _eigenvectors(self) -> tuple[Matrix, Matrix]:
        """Of the product of the weighted matrix with itself, on the shorter side."""
        weighted = product(self._outer.T, self.weights, self._inner)
        return eigenvectors(product(weighted, weighted.T) if self._is_wide else product(weighted.T, weighted))


def balanced(left: Matrix, right: Matrix, second_moments: Matrix) -> tuple[Matrix, Matrix]:
    """The same product, with values between the factors that all have a mean square of 1.

    Rounded to integers, these have one scale: a smaller channel would drown in what rounding does to the largest.

    Args:
        left: Shape (outputs, rank).
        right: Shape (rank, inputs).
        second_moments: Means of x xᵀ over what the right one is multiplied by.
    """
    sizes = np.sqrt(np.maximum(np.einsum("ri,ij,rj->r", right, second_moments, right), 0.0))
    scales = np.where(sizes > 0, sizes, 1.0)
    return left * scales, right / scales[:, np.newaxis]
