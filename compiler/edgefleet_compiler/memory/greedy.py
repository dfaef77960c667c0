"""Greedy placement by size: buffers that live at the same time lie beside each other, the largest lowest.

The algorithm is the one of TFLite Micro's ``GreedyMemoryPlanner`` (``micro/memory_planner/greedy_memory_planner.cc``,
90b983c2); Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (arXiv 2001.03288), call it
Greedy by Size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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

    def lives_with(self, other: Buffer) -> bool:
        """Whether both hold a value at some step."""
        return self.first <= other.last and other.first <= self.last


def place(buffers: Sequence[Buffer]) -> list[int]:
    """An offset for each buffer, in the order of ``buffers``.

    Of equal sizes the later buffer is placed first, as in TFLite Micro.
    """
    offsets: dict[int, int] = {}
    for index in sorted(range(len(buffers)), key=lambda index: (-buffers[index].size, -index)):
        buffer = buffers[index]
        taken = sorted((offsets[other], buffers[other].size) for other in offsets if buffer.lives_with(buffers[other]))
        offsets[index] = _lowest_gap(buffer.size, taken)
    return [offsets[index] for index in range(len(buffers))]


def extent(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """The end of the buffer that lies highest; 0 without buffers."""
    return max((offset + buffer.size for buffer, offset in zip(buffers, offsets, strict=True)), default=0)


def most_alive(buffers: Sequence[Buffer]) -> int:
    """The most bytes that hold values at one step: no placement takes less."""
    steps = {buffer.first for buffer in buffers}
    return max((sum(each.size for each in buffers if each.first <= step <= each.last) for step in steps), default=0)


def align(size: int, alignment: int) -> int:
    """``size`` rounded up to a multiple of ``alignment``."""
    return -(-size // alignment) * alignment


def _lowest_gap(size: int, taken: Sequence[tuple[int, int]]) -> int:
    """The lowest offset with ``size`` bytes free between the (offset, size) pairs of ``taken``, sorted by offset."""
    lowest = 0
    for offset, occupied in taken:
        if offset - lowest >= size:
            return lowest
        lowest = max(lowest, offset + occupied)
    return lowest
