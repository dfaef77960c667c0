"""Linear algebra that gives the same bits on however many threads: no product goes to the BLAS library.

Its sums come in another order on another number of threads, and a factor whose last bit differs is another artifact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.rounding.quadratic import lower_factor

Matrix = NDArray[np.float64]


def product(*factors: Matrix) -> Matrix:
    """The product of matrices, from the left."""
    found, *rest = factors
    for factor in rest:
        found = np.einsum("ij,jk->ik", found, factor)
    return found


def kronecker(one: Matrix, other: Matrix) -> Matrix:
    """The Kronecker product."""
    found: Matrix = np.kron(one, other).astype(np.float64)
    return found


def lower(positive: Matrix) -> Matrix:
    """The lower triangular L of L Lᵀ, of a positive definite matrix."""
    factor: Matrix = lower_factor(positive[np.newaxis])[0]
    return factor


def divided(right: Matrix, factor: Matrix) -> Matrix:
    """The X of X L = B, from the last column on.

    Args:
        right: B, shape (rows, size).
        factor: L, lower triangular, shape (size, size).
    """
    found = np.zeros_like(right)
    for k in reversed(range(len(factor))):
        known = np.einsum("ri,i->r", found[:, k + 1 :], factor[k + 1 :, k])
        found[:, k] = (right[:, k] - known) / factor[k, k]
    return found


def eigenvectors(symmetric: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues of a symmetric matrix, the largest first, and their vectors in columns.

    Householder's reflections make it tridiagonal (Golub and Van Loan 2013, algorithm 8.3.1); LAPACK solves the rest,
    which has no sums to share among threads. Of each vector, the element of the largest magnitude is positive.
    """
    from scipy.linalg import eigh_tridiagonal  # noqa: PLC0415 - heavy, and few recipes need it

    left, reflections = symmetric.copy(), list[Matrix]()
    for k in range(len(left) - 2):
        normal = _normal(left[k + 1 :, k])
        reflections.append(normal)
        rest = left[k + 1 :, k + 1 :]
        turned = 2 * np.einsum("ij,j->i", rest, normal)
        turned -= np.einsum("i,i->", turned, normal) * normal
        rest -= np.multiply.outer(normal, turned) + np.multiply.outer(turned, normal)
        length = np.sqrt(np.einsum("i,i->", left[k + 1 :, k], left[k + 1 :, k]))
        left[k + 1, k] = length if left[k + 1, k] <= 0 else -length
    values, vectors = eigh_tridiagonal(np.diagonal(left).copy(), np.diagonal(left, -1).copy())
    for k, normal in reversed(list(enumerate(reflections))):
        vectors[k + 1 :] -= 2 * np.multiply.outer(normal, np.einsum("i,ij->j", normal, vectors[k + 1 :]))
    vectors = vectors[:, ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[np.newaxis], 0)
    return values[::-1].copy(), vectors * np.where(largest < 0, -1.0, 1.0)


def _normal(column: Matrix) -> Matrix:
    """Of the mirror that puts a column on its first axis; zeros where it is there."""
    normal = column.copy()
    length = np.sqrt(np.einsum("i,i->", column, column))
    normal[0] += length if column[0] > 0 else -length
    size = np.sqrt(np.einsum("i,i->", normal, normal))
    return normal / size if size > 0 else np.zeros_like(normal)
