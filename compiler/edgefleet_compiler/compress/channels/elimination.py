"""Elimination: inputs of a layer go one block after the other, and its other weights make up for each.

Source: Hassibi and Stork 1992, "Second order derivatives for network pruning: Optimal Brain Surgeon", with the layer's
own error, and blocks as in Frantar and Alistarh 2022, "Optimal Brain Compression", arXiv:2208.11580, section 4, group
version: of weights W and the inverse G of the Gram matrix, the loss of the inputs S costs the squared error
tr(W_S (G_SS)⁻¹ W_Sᵀ) once the others are W - W_S (G_SS)⁻¹ G_S, the least that any weights leave.

The bias is the weight of an input that is always 1, and never goes: what a channel gives on average costs nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.rounding.quadratic import Matrices, lower_factor, solved

RIDGE = 0.01
"""What moving a weight costs, as a share of what its input carries: the cases are not all there is."""

_FLOOR = 1e-6
"""The same as a share of the mean over inputs, for those that carry nothing."""

_FELT = 1e-12
"""Of what inputs carry with their means, the least that is felt in float64 where they are added up."""


def ridge(squares: Matrices, share: float = RIDGE) -> Matrices:
    """What is added to the diagonal of moments: a share of the variance of each input, and nothing for the 1.

    Args:
        squares: Shape (groups, inputs + 1, inputs + 1), ``Moments.augmented_inputs``.
        share: Of the variance.

    Returns:
        Shape (groups, inputs + 1).
    """
    powers = np.diagonal(squares, axis1=1, axis2=2)
    variances = powers - squares[:, -1] ** 2
    # Of a single case nothing varies: what is added still has to be felt beside the squares.
    least = np.maximum(_FELT * powers.mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    floor = np.maximum(_FLOOR * variances.mean(axis=1, keepdims=True), least)
    added: Matrices = share * np.maximum(variances, 0.0) + floor
    added[:, -1] = 0.0
    return added


class Elimination:
    """The weights of a layer with one matrix, and what its inputs cost.

    Args:
        weights: Shape (channels, inputs + 1), the bias last.
        squares: Moments, shape (inputs + 1, inputs + 1).
        columns: Which channel each input belongs to, shape (inputs,).
    """

    def __init__(self, weights: Matrices, squares: Matrices, columns: NDArray[np.intp]) -> None:
        damped = squares[np.newaxis] + np.eye(len(squares)) * ridge(squares[np.newaxis])[:, np.newaxis]
        identity = np.eye(len(squares))[np.newaxis]
        self._inverse = solved(identity, lower_factor(damped))[0]
        self.weights = weights.copy()
        self._places = {int(c): np.flatnonzero(columns == c) for c in np.unique(columns)}

    def costs(self, classes: NDArray[np.intp]) -> Matrices:
        """The squared error that the loss of each channel adds, shape (channels,); zero of those that are not read."""
        found = np.zeros(len(classes))
        sizes = np.array([len(self._places.get(int(number), ())) for number in classes])
        for size in np.unique(sizes[sizes > 0]):
            chosen = np.flatnonzero(sizes == size)
            places = np.array([self._places[int(classes[index])] for index in chosen])
            blocks = self._inverse[places[:, :, np.newaxis], places[:, np.newaxis, :]]
            weights = np.moveaxis(self.weights[:, places], 1, 0)
            found[chosen] = np.einsum("boi,boi->b", solved(weights, lower_factor(blocks)), weights)
        return found

    def eliminate(self, number: int) -> None:
        """Let a channel go, for good."""
        places = self._places.pop(number, None)
        if places is None:
            return
        across = self._inverse[places]
        share = solved(self.weights[np.newaxis][:, :, places], lower_factor(across[np.newaxis][:, :, places]))[0]
        self.weights -= np.einsum("oi,ij->oj", share, across)
        back = solved(across.T[np.newaxis], lower_factor(across[np.newaxis][:, :, places]))[0]
        self._inverse -= np.einsum("ji,ik->jk", back, across)
        self.weights[:, places] = 0.0
        # Rows and columns of what has gone are zeros by now, but for rounding.
        self._inverse[places] = 0.0
        self._inverse[:, places] = 0.0
