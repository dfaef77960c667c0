"""Lossless pruning of a lowered graph: find what cannot matter, and take it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgefleet_compiler.lossless.channels import Structure, structure_of
from edgefleet_compiler.lossless.folding import Mask
from edgefleet_compiler.lossless.intervals import Intervals, intervals_of
from edgefleet_compiler.lossless.liveness import live_channels
from edgefleet_compiler.lossless.removal import Removal, without_channels
from edgefleet_compiler.lowered.coherence import NARROW
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.writer import write_tflite


@dataclass(frozen=True)
class Pruned:
    """A graph before and after lossless pruning; both are the same where nothing could go.

    Attributes:
        whole: With all channels.
        whole_data: The file of ``whole``.
        removal: What went.
        graph: What is left.
        data: The file of ``graph``.
    """

    whole: LoweredGraph
    whole_data: bytes
    removal: Removal
    graph: LoweredGraph
    data: bytes


def prune(graph: LoweredGraph, data: bytes) -> Pruned | None:
    """Take out every channel that provably never matters to an output.

    Args:
        graph: Layers with weights on int8 are looked at; it is not changed.
        data: The file of ``graph``.

    Returns:
        None where no layer has a form that can be looked at: float graphs, and those with 16-bit activations.
    """
    if not any(tensor.dtype in NARROW for tensor in graph.tensors.values()):
        return None
    structure = structure_of(graph)
    if not structure.weighted:
        return None
    removal = find(graph, structure)
    if not removal.kept:
        return Pruned(graph, data, removal, graph, data)
    smaller = without_channels(graph, structure, removal)
    return Pruned(graph, data, removal, smaller, write_tflite(smaller))


def find(graph: LoweredGraph, structure: Structure) -> Removal:
    """The channels that can go, and what the constant ones among them are."""
    intervals = intervals_of(graph, structure)
    kept = live_channels(graph, structure, intervals)
    narrowed = {name: mask for name, mask in kept.items() if not mask.all()}
    return Removal(narrowed, values_read(structure, intervals, narrowed))


def values_read(structure: Structure, intervals: Intervals, kept: Mapping[str, Mask]) -> dict[str, dict[int, int]]:
    """The removed channels that a layer multiplies for an output that stays, with the one value that each holds."""
    values: dict[str, dict[int, int]] = {}
    for layer in structure.weighted.values():
        if layer.depthwise or layer.source not in kept:
            continue
        outputs = kept.get(layer.output, np.ones(len(layer.bias), np.bool_))
        multiplied = layer.multiplied(outputs) & ~kept[layer.source]
        low = intervals[layer.source].low
        values.setdefault(layer.source, {}).update(
            {int(channel): int(low[channel]) for channel in np.flatnonzero(multiplied)}
        )
    return {name: read for name, read in values.items() if read}
