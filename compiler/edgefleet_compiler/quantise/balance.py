"""Scales for channels that depend on one another, so that int8 rounding makes the least noise.

Weights have a scale per output channel, which takes up whatever divides a whole row. So the scale s_c of a channel only
trades two rounding noises against each other, in what reads the channel:

    of the activation, of step d = max_c(r_c / s_c) / 255:   d**2 / 12 * sum over c of s_c**2 * |w_oc|**2
    of the weights, of steps d_o = max_c(s_c * m_oc) / 127:  d_o**2 / 12 * sum over c of k * E[x_c**2] / s_c**2

with r_c the span of channel c, |w_oc|**2 the sum of squares and m_oc the largest magnitude of its k weights for output
o. Each output's noise counts in relation to its signal, so that no choice depends on how later channels are scaled:
every group is solved for itself. Where several activations share channels, the rounding of each is taken to reach all
that reads any of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import constant, name_of
from edgefleet_compiler.quantise.calibration.observe import Observation
from edgefleet_compiler.quantise.calibration.watch import channel_axis
from edgefleet_compiler.quantise.channel_rules import FIXED, Classes
from edgefleet_compiler.quantise.channels import Tracked, Weighted, matrix_of

Floats = NDArray[np.float64]

_FURTHEST = 24
"""Scales stay within 2**-24..2**24: beyond, weights and activations come near the ends of float32."""

_HEADROOM = 2.0
"""How far a channel that is raised stays below the widest: it was seen on few cases, and others may reach further."""

_BARELY = 2.0**-4
"""Of what a channel could reach by its weights: one that was seen to reach less hardly ever passes a Relu. It counts as
if it reached so far: steps finer than that are lost in the rounding of what it is summed from."""

_REFINEMENTS = 4
"""Steps towards the balance of both noises, for each cap; later ones change nothing that is a power of two."""


@dataclass(frozen=True)
class Value:
    """An activation.

    Attributes:
        name: Its name.
        places: Of each channel's class in the group.
        low: Of each channel, at most 0.
        high: Of each channel, at least 0.
        strengths: The root of the mean square of each channel before it is clipped, were its inputs independent.
    """

    name: str
    places: Classes
    low: Floats
    high: Floats
    strengths: Floats

    def span(self, scales: Floats) -> float:
        """Of the whole activation, its channels divided by their classes' scales."""
        used = scales[self.places]
        return float((self.high / used).max() - (self.low / used).min())


@dataclass(frozen=True)
class Reader:
    """A layer that reads channels of the group; arrays have the shape (outputs, inputs of a group of the layer).

    Attributes:
        places: Of the channels' classes in the group.
        energies: Squares of the weights, summed over the kernel.
        peaks: The largest magnitudes over the kernel.
        powers: Mean squares of the channels, summed over the kernel.
        shares: What noise of each output counts: one over the power of its signal, were its inputs independent, and
            nothing where it is always zero; shape (outputs, 1).
    """

    places: Classes
    energies: Floats
    peaks: Floats
    powers: Floats
    shares: Floats

    def steps(self, scales: Floats) -> Floats:
        """Of the weights of each output, shape (outputs, 1)."""
        steps: Floats = (self.peaks * scales[self.places]).max(axis=1, keepdims=True) / 127
        return steps

    def noises(self, scales: Floats, square_step: float) -> tuple[Floats, Floats]:
        """From the activation's rounding and from the weights', through each weight, in relation to the signal."""
        squares = scales[self.places] ** 2
        through_activation = square_step * squares * self.energies * self.shares
        return through_activation, self.steps(scales) ** 2 * self.powers / squares * self.shares


@dataclass(frozen=True)
class Group:
    """Channels whose scales depend on one another.

    Attributes:
        classes: Of the channels that may be scaled; their places are 0, 1, ... What is fixed comes after them.
        values: The activations that they are channels of.
        readers: The layers that read these.
    """

    classes: Classes
    values: list[Value]
    readers: list[Reader]

    def best_scales(self) -> Floats:
        """One scale for each of ``classes``."""
        return self._search()[:-1]

    def weights(self) -> Floats:
        """How strongly each class is read: the root of the energy of its weights. What is fixed comes last."""
        energies = np.zeros(self.classes.size + 1)
        for reader in self.readers:
            np.add.at(energies, reader.places, reader.energies * reader.shares)
        strengths: Floats = np.sqrt(energies)
        return strengths

    def _as_they_are(self) -> Floats:
        return np.ones(self.classes.size + 1)

    def _search(self) -> Floats:
        """Scales for which the noise is least, by trying how far the largest channels are to be capped."""
        best = self._as_they_are()
        least = self._noise(best)
        for cap in 2.0 ** -np.arange(0, _FURTHEST / 2, 0.5):
            floors = self._reach() / cap
            scales = np.maximum(floors, 1.0)
            for _ in range(_REFINEMENTS):
                rounded = power_of_two(scales)
                noise = self._noise(rounded)
                if noise < least:
                    best, least = rounded, noise
                scales = np.maximum(self._balanced(scales), np.maximum(floors, np.minimum(floors * _HEADROOM, 1.0)))
        return best

    def _reach(self) -> Floats:
        """How far each class reaches in relation to the widest channel of the activations that it is in; at most 1."""
        reach = np.zeros(self.classes.size + 1)
        for value in self.values:
            span = value.span(self._as_they_are())
            if span > 0:
                seen = np.maximum(value.high, -value.low)
                reached = np.where(seen > 0, np.maximum(seen, value.strengths * _BARELY), 0.0)
                np.maximum.at(reach, value.places, np.minimum(reached / span, 1.0))
        reach[-1] = 0
        return reach

    def _square_step(self, scales: Floats) -> float:
        return sum(value.span(scales) ** 2 for value in self.values) / 255**2

    def _noise(self, scales: Floats) -> float:
        square_step = self._square_step(scales)
        return sum(float(sum(map(np.sum, reader.noises(scales, square_step)))) for reader in self.readers)

    def _balanced(self, scales: Floats) -> Floats:
        """Scales for which both noises of each channel are the same, with the steps as they are.

        A s**2 + B / s**2 is least at s = (B / A)**(1/4); at the present scale the terms are A s**2 and B / s**2.
        """
        rising, falling = np.zeros_like(scales), np.zeros_like(scales)
        square_step = self._square_step(scales)
        for reader in self.readers:
            for totals, noises in zip((rising, falling), reader.noises(scales, square_step), strict=True):
                np.add.at(totals, reader.places, noises)
        moves = (rising > 0) & (falling > 0)
        balanced = scales * np.divide(falling, rising, out=np.ones_like(scales), where=moves) ** 0.25
        balanced[-1] = 1.0
        return balanced


def power_of_two(scales: Floats) -> Floats:
    """The powers of two nearest to scales, within what float32 stands."""
    rounded: Floats = 2.0 ** np.rint(np.log2(scales)).clip(-_FURTHEST, _FURTHEST)
    return rounded


def groups_of(tracked: Tracked, seen: Mapping[str, Observation]) -> Iterator[Group]:
    """The groups that have scales to choose, in the order of the graph.

    Args:
        tracked: The channels of a float hub.
        seen: Its activations, by name.
    """
    observed = {
        value: (channels.classes, seen[name_of(value)])
        for value, channels in tracked.values.items()
        if name_of(value) in seen and channels.axis == channel_axis(value)
    }
    powers = _powers(tracked, observed.values())
    strengths = _strengths(tracked, powers)
    sets = [classes for classes, _ in observed.values()] + [layer.reads for layer in tracked.layers]
    for members in _linked(sets, tracked.count):
        place = np.full(tracked.count, members.size)
        place[members] = np.arange(members.size)
        values = [
            Value(
                name_of(value),
                place[classes],
                _ends(found.channel_lows, np.minimum),
                _ends(found.channel_highs, np.maximum),
                strengths[classes],
            )
            for value, (classes, found) in observed.items()
            if (place[classes] < members.size).any()
        ]
        readers = [
            _reader(layer, place, powers) for layer in tracked.layers if (place[layer.reads] < members.size).any()
        ]
        if values and readers:
            yield Group(members, values, readers)


def _ends(ends: NDArray[np.float32], choose: np.ufunc) -> Floats:
    """Of ranges that hold zero."""
    included: Floats = choose(ends.astype(np.float64), 0.0)
    return included


def _linked(sets: list[Classes], count: int) -> list[Classes]:
    """Classes that occur in one set, directly or by way of others; without ``FIXED``."""
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    seen: set[int] = set()
    for classes in sets:
        members = [number for number in np.unique(classes).tolist() if number != FIXED]
        seen.update(members)
        for one, other in itertools.pairwise(members):
            low, high = sorted((root(one), root(other)))
            parent[high] = low
    found: dict[int, list[int]] = {}
    for number in sorted(seen):
        found.setdefault(root(number), []).append(number)
    return [np.array(members, np.intp) for members in found.values()]


def _powers(tracked: Tracked, observed: Iterable[tuple[Classes, Observation]]) -> Floats:
    """The mean square of the channels of each class, the largest where several activations have it."""
    powers = np.zeros(tracked.count)
    for classes, found in observed:
        np.maximum.at(powers, classes, found.channel_powers)
    return powers


def _strengths(tracked: Tracked, powers: Floats) -> Floats:
    """The root of the mean square that layers write to each class, were what they read independent."""
    squares = np.zeros(tracked.count)
    for layer in tracked.layers:
        energies = np.square(_matrix(layer)).sum(axis=2)
        np.maximum.at(squares, layer.writes, (energies * powers[layer.reads]).sum(axis=1))
    squares[FIXED] = 0.0
    strengths: Floats = np.sqrt(squares)
    return strengths


def _matrix(layer: Weighted) -> Floats:
    """The weights of a layer: outputs, inputs of a group of the layer, kernel."""
    weights = constant(layer.node.inputs[1])
    assert weights is not None
    return matrix_of(layer.node, weights).astype(np.float64)


def _reader(layer: Weighted, place: Classes, powers: Floats) -> Reader:
    matrix = _matrix(layer)
    energies, read = np.square(matrix).sum(axis=2), matrix.shape[2] * powers[layer.reads]
    signals = (energies * read).sum(axis=1, keepdims=True)
    written = (layer.writes == FIXED) | (powers[layer.writes] > 0)
    counts = (signals > 0) & written[:, np.newaxis]
    return Reader(
        place[layer.reads],
        energies=energies,
        peaks=np.abs(matrix).max(axis=2),
        powers=read,
        shares=np.divide(1.0, signals, out=np.zeros_like(signals), where=counts),
    )
