"""How many channels a kernel must keep so that none of them is computed otherwise than before.

LiteRT's kernels without delegates take elements in blocks, and what is left over one by one, and round otherwise in
either loop (``emulate.rounding.roundings_of``, ``emulate.added_at_once``). An element must therefore not change its
loop. Of a depthwise convolution it may where nothing below the zero point passes the clamp: the two roundings differ
in ties of negative numbers alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator

_BLOCKS: Final = {"DEPTHWISE_CONV_2D": 8, "MEAN": 16}
_AT_ONCE: Final = 16  # elements of an ADD


@dataclass(frozen=True)
class Kernels:
    """What the kernels that write each tensor ask of its number of channels.

    Attributes:
        blocks: Channels that are computed together, by the tensor; only where there are such.
        least: The fewest channels, by the tensor, where that is more than one.
        zero_points: Of outputs of depthwise convolutions: at and above it, blocks do not matter.
    """

    blocks: dict[str, int]
    least: dict[str, int]
    zero_points: dict[str, int]

    def missing(self, name: str, kept: NDArray[np.bool_], low: NDArray[np.int64] | None) -> int:
        """How many channels must stay though nothing needs them.

        Args:
            name: The tensor.
            kept: Its channels that stay so far.
            low: The least that each channel holds.
        """
        count, total = int(kept.sum()), len(kept)
        if count == total:
            return 0
        wanted = max(count, self.least.get(name, 1))
        block = self.blocks.get(name, 1)
        if name in self.zero_points and low is not None and (low[kept] >= self.zero_points[name]).all():
            block = 1
        return (total if total % block else -(-wanted // block) * block) - count


def kernels_of(graph: LoweredGraph) -> Kernels:
    """What the kernels of a graph ask."""
    blocks, least, zero_points = {}, {}, {}
    for operator in graph.operators:
        output = graph.tensors[operator.outputs[0]]
        if operator.kind in _BLOCKS:
            blocks[output.name] = _BLOCKS[operator.kind]
        if operator.kind == "ADD" and output.dtype == np.int8:
            blocks[output.name] = _run_of_channels(graph, operator)
        if operator.kind == "DEPTHWISE_CONV_2D" and output.quantisation is not None:
            zero_points[output.name] = int(output.quantisation.zero_point[0])
        if operator.kind == "FULLY_CONNECTED" and _per_channel(graph, operator.inputs[1]):
            least[output.name] = 2  # with one scale another kernel computes it, which rounds otherwise
    return Kernels(blocks, least, zero_points)


def _run_of_channels(graph: LoweredGraph, add: Operator) -> int:
    """Channels of which every number gives runs that end with a block: runs go on from pixel to pixel."""
    first, second = (graph.tensors[str(name)].shape for name in add.inputs[:2])
    pixels = prod(first[:-1]) if first == second else 1
    return _AT_ONCE // gcd(pixels, _AT_ONCE)


def _per_channel(graph: LoweredGraph, name: str | None) -> bool:
    quantisation = None if name is None else graph.tensors[name].quantisation
    return quantisation is not None and quantisation.per_channel
