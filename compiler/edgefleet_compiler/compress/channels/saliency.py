"""Saliency: in which order the channels of a group go, the least missed first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.elimination import Elimination
from edgefleet_compiler.compress.channels.groups import Group, Grouping
from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.settings import Saliency
from edgefleet_compiler.quantise.channel_rules import Classes
from edgefleet_compiler.quantise.rounding.quadratic import Matrices


@dataclass(frozen=True)
class Reader:
    """A layer that reads channels of groups.

    Attributes:
        linear: The layer.
        columns: Class of each of its inputs, shape (inputs,).
        squares: Moments of its inputs, shape (inputs + 1, inputs + 1).
    """

    linear: Linear
    columns: Classes
    squares: Matrices

    @property
    def augmented(self) -> Matrices:
        """Weights with biases, shape (channels, inputs + 1)."""
        linear = self.linear
        return np.concatenate([linear.matrices()[0], linear.biases()[0][:, np.newaxis]], axis=1)

    @property
    def power(self) -> float:
        """The variance of what it gives, all channels together; 1 where it always gives the same."""
        weights = self.linear.matrices()[0]
        mean = self.squares[-1, :-1]
        spread = self.squares[:-1, :-1] - mean[:, np.newaxis] * mean
        return float(np.einsum("oi,ij,oj->", weights, spread, weights)) or 1.0


@dataclass(frozen=True)
class Order:
    """The channels of a group that may go.

    Attributes:
        classes: The first goes first.
        weights: Of each reader, once so many channels are gone as asked for: weights with biases that make up for
            them, shape (channels, inputs + 1); the readers are those of the group.
    """

    classes: NDArray[np.intp]
    weights: dict[int, list[Matrices]]


def order_of(
    group: Group, readers: Sequence[Reader], grouping: Grouping, saliency: Saliency, counts: Sequence[int] = ()
) -> Order:
    """Rank the channels of a group.

    Args:
        group: The group.
        readers: Its readers.
        grouping: Of the graph.
        saliency: By what.
        counts: Of channels gone, for which weights of the readers are wanted that make up for them.
    """
    eliminations = [Elimination(reader.augmented, reader.squares, reader.columns) for reader in readers]
    powers = [reader.power for reader in readers]
    left, gone = group.classes[group.free], list[int]()
    fixed = None if saliency == "second-order" else _scores(left, readers, grouping, saliency)
    weights = {0: [each.weights.copy() for each in eliminations]} if 0 in counts else {}
    while len(gone) < group.channels - group.least:
        scores = fixed if fixed is not None else _costs(eliminations, powers, left)
        place = int(np.argmin(_rounded(scores)))
        for elimination in eliminations:
            elimination.eliminate(int(left[place]))
        gone.append(int(left[place]))
        left = np.delete(left, place)
        fixed = None if fixed is None else np.delete(fixed, place)
        if len(gone) in counts:
            weights[len(gone)] = [each.weights.copy() for each in eliminations]
    return Order(np.array(gone, np.intp), weights)


def _costs(eliminations: Sequence[Elimination], powers: Sequence[float], classes: NDArray[np.intp]) -> Matrices:
    costs = np.zeros(len(classes))
    for elimination, power in zip(eliminations, powers, strict=True):
        costs += elimination.costs(classes) / power
    return costs


def _scores(
    classes: NDArray[np.intp], readers: Sequence[Reader], grouping: Grouping, saliency: Saliency
) -> NDArray[np.float64]:
    scores = np.zeros(len(classes))
    if saliency == "activation":
        for reader in readers:
            carried = np.diagonal(reader.squares)[:-1]
            scores += _share(carried, reader.columns, classes)
        return scores
    for layer in grouping.layers:
        if layer.parts == 1 and np.isin(layer.writes, classes).any() and layer.node.op_type != "ConvTranspose":
            linear = Linear(layer.node)
            scores += _share(np.square(linear.matrices()[0]).sum(axis=1), layer.writes, classes)
    return scores


def _share(amounts: NDArray[np.float64], owners: NDArray[np.intp], classes: NDArray[np.intp]) -> NDArray[np.float64]:
    """What each channel has of amounts, as a share of all."""
    total = float(amounts.sum()) or 1.0
    return np.array([float(amounts[owners == number].sum()) for number in classes]) / total


def _rounded(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores without the last bits, so that channels that are missed alike go in their order."""
    return np.round(scores, 12)
