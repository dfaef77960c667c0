"""Greedy placement by size: buffers that live at the same time lie beside each other, the largest lowest.

The algorithm is the one of TFLite Micro's ``GreedyMemoryPlanner`` (``micro/memory_planner/greedy_memory_planner.cc``,
90b983c2); Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (arXiv 2001.03288), call it
Greedy by Size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np


@dataclass(frozen=True)
class Buffer:
    """Something that needs a place in the arena.

    Attributes:
        size: Bytes, aligned already.
        first: The first step at which it holds a value.
        last: The last step at which it holds a value.
    """

    size: int
    first: int
    last: int


def place(buffers: Sequence[Buffer], planned: Sequence[int] = ()) -> list[int]:
    """An offset for each buffer, in the order of ``buffers``.

    Of equal sizes the later buffer is placed first, as in TFLite Micro.

    Args:
        buffers: To be placed.
        planned: The offsets of the first of them, where a file brings such; the others then lie around these.
    """
    rest = range(len(planned), len(buffers))
    return _place_in(buffers, planned, sorted(rest, key=lambda index: (-buffers[index].size, -index)))


def place_by_start(buffers: Sequence[Buffer]) -> list[int]:
    """An offset for each buffer, each as low as it fits when its life begins: the best for chains of operators.

    Of those that begin together the largest is placed first.
    """
    order = sorted(range(len(buffers)), key=lambda index: (buffers[index].first, -buffers[index].size, index))
    return _place_in(buffers, (), order)


def _place_in(buffers: Sequence[Buffer], planned: Sequence[int], order: Sequence[int]) -> list[int]:
    """Place buffers one after the other, each into the lowest gap beside those that lie already."""
    first, last, sizes = (
        np.array([getattr(buffer, name) for buffer in buffers], np.int64) for name in ("first", "last", "size")
    )
    offsets = np.zeros(len(buffers), np.int64)
    offsets[: len(planned)] = planned
    everything = np.array([*range(len(planned)), *order], np.int64)
    for rank, index in enumerate(everything[len(planned) :], start=len(planned)):
        placed = everything[:rank]
        beside = placed[(first[placed] <= last[index]) & (first[index] <= last[placed])]
        beside = beside[np.argsort(offsets[beside], kind="stable")]
        offsets[index] = _lowest_gap(int(sizes[index]), offsets[beside].tolist(), sizes[beside].tolist())
    return [int(offset) for offset in offsets]


def extent(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """The end of the buffer that lies highest; 0 without buffers."""
    return max((offset + buffer.size for buffer, offset in zip(buffers, offsets, strict=True)), default=0)


def most_alive(buffers: Sequence[Buffer]) -> int:
    """The most bytes that hold values at one step: no placement takes less."""
    changes: Counter[int] = Counter()
    for buffer in buffers:
        changes[buffer.first] += buffer.size
        changes[buffer.last + 1] -= buffer.size
    return max(accumulate(changes[step] for step in sorted(changes)), default=0)


def align(size: int, alignment: int) -> int:
    """``size`` rounded up to a multiple of ``alignment``."""
    return -(-size // alignment) * alignment


def _lowest_gap(size: int, offsets: Sequence[int], sizes: Sequence[int]) -> int:
    """The lowest offset with ``size`` bytes free between what lies at ``offsets``, which are ascending."""
    lowest = 0
    for offset, occupied in zip(offsets, sizes, strict=True):
        if offset - lowest >= size:
            return lowest
        lowest = max(lowest, offset + occupied)
    return lowest
