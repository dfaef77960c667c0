"""Liveness: which channels reach an output of the graph, read backwards from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lossless.channels import Structure, channels
from edgefleet_compiler.lossless.folding import Mask, must_stay
from edgefleet_compiler.lossless.interval import Interval
from edgefleet_compiler.lossless.kernels import kernels_of
from edgefleet_compiler.lossless.removal import zero_point_of
from edgefleet_compiler.lossless.weighted import Weighted
from edgefleet_compiler.lowered.graph import LoweredGraph

_Labels = dict[str, NDArray[np.int64]]


def live_channels(graph: LoweredGraph, structure: Structure, intervals: Mapping[str, Interval]) -> dict[str, Mask]:
    """The channels of each activation that must stay; the rest can go, all at once.

    The fewest channels are sought that hold together: all of what is read as a whole, what a layer multiplies for an
    output that stays, and whatever is bound to any of these.

    Args:
        graph: Quantised.
        structure: Of ``graph``.
        intervals: What each channel can hold.
    """
    search = _Search(graph, structure, intervals)
    search.spread()
    while search.revive():
        search.spread()
    return {name: search.kept(name) for name in search.labels}


@dataclass
class _Search:
    """Grows the set of channels that stay; bound channels share a label."""

    graph: LoweredGraph
    structure: Structure
    intervals: Mapping[str, Interval]

    def __post_init__(self) -> None:
        self.labels = _bound(self.graph, self.structure)
        self._live = np.zeros(sum(map(len, self.labels.values())), np.bool_)
        for name in self.structure.whole:
            self._live[self.labels[name]] = True
        self._kernels = kernels_of(self.graph)
        self._mixing = [layer for layer in self.structure.weighted.values() if not layer.depthwise]

    def kept(self, name: str) -> Mask:
        """Which channels of a tensor stay."""
        return self._live[self.labels[name]]

    def spread(self) -> None:
        """Let layers need what they multiply, from the last to the first, until nothing new is needed."""
        grown = True
        while grown:
            before = self._live.copy()
            for layer in reversed(self._mixing):
                self._live[self.labels[layer.source][self._needed(layer)]] = True
            grown = bool((self._live != before).any())

    def revive(self) -> bool:
        """Keep channels that nothing needs where a kernel could not do without; whether there were any."""
        before = self._live.copy()
        for name, labels in self.labels.items():
            kept = self.kept(name)
            interval = self.intervals.get(name)
            missing = self._kernels.missing(name, kept, None if interval is None else interval.low)
            self._live[labels[np.flatnonzero(~kept)[:missing]]] = True
        return bool((self._live != before).any())

    def _needed(self, layer: Weighted) -> Mask:
        interval = self.intervals[layer.source]
        steps = interval.low - zero_point_of(self.graph, layer.source)
        return must_stay(layer, self.kept(layer.output), steps, interval.constant)


def _bound(graph: LoweredGraph, structure: Structure) -> _Labels:
    """A label for each channel of each activation, the same where channels can only go together."""
    labels: _Labels = {}
    count = 0
    for name, tensor in graph.tensors.items():
        if not tensor.is_constant:
            labels[name] = count + np.arange(channels(graph, name))
            count += len(labels[name])
    merged = np.arange(count)
    changed = True
    while changed:
        before = merged.copy()
        for position, ties in structure.ties.items():
            after = labels[graph.operators[position].outputs[0]]
            for tie in ties:
                one, other = labels[tie.name][tie.before], after[tie.after]
                least = np.minimum(merged[one], merged[other])
                np.minimum.at(merged, one, least)
                np.minimum.at(merged, other, least)
        changed = bool((merged != before).any())
    return {name: merged[numbers] for name, numbers in labels.items()}
