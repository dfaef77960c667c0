"""The arena: where each activation lies in RAM, and so how much RAM one inference takes.

The planner is the one of TFLite Micro (``GreedyMemoryPlanner`` over the lifetimes of its ``AllocationInfo``), so that a
budget checked here holds there: largest tensor first, each at the lowest offset where it overlaps no tensor that lives
at the same time. What kernels take beyond activations (scratch buffers, TFLite Micro's own structures) is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

from edgefleet_compiler.lowered.graph import LoweredGraph, Tensor

PLANNER: Final = "greedy-by-size"
# TFLite Micro's MicroArenaBufferAlignment().
ALIGNMENT: Final = 16


@dataclass(frozen=True)
class MemoryPlan:
    """Where activations lie.

    Attributes:
        peak_bytes: What the arena takes: the end of the tensor that lies highest.
        live_bytes: The most that is alive at one step; no planner without in-place operators gets below it.
        offsets: Each activation's first byte in the arena, a multiple of 16, in execution order.
        lifetimes: The first and last step at which each activation holds a value. Step 0 writes the graph's inputs;
            step ``i`` runs operator ``i`` (from 1), which reads and writes.
        planner: Which planner made it.
    """

    peak_bytes: int
    live_bytes: int
    offsets: dict[str, int]
    lifetimes: dict[str, tuple[int, int]]
    planner: str = PLANNER


def plan_memory(graph: LoweredGraph) -> MemoryPlan:
    """Plan the arena of a graph: its inputs, outputs and what its operators write.

    Args:
        graph: Operators in execution order.
    """
    lifetimes = _lifetimes(graph)
    sizes = {name: _aligned(tensor_bytes(graph.tensors[name])) for name in lifetimes}
    offsets: dict[str, int] = {}
    for name in sorted(lifetimes, key=lambda name: -sizes[name]):
        alive = [other for other in offsets if _overlap(lifetimes[name], lifetimes[other])]
        offsets[name] = _lowest_gap(sizes[name], sorted((offsets[other], sizes[other]) for other in alive))
    peak = max((offsets[name] + sizes[name] for name in offsets), default=0)
    live = max(_alive_at(step, lifetimes, sizes) for step in range(len(graph.operators) + 1))
    return MemoryPlan(peak, live, {name: offsets[name] for name in lifetimes}, lifetimes)


def tensor_bytes(tensor: Tensor) -> int:
    """How many bytes a tensor's elements take."""
    return prod(tensor.shape) * tensor.dtype.itemsize


def _lifetimes(graph: LoweredGraph) -> dict[str, tuple[int, int]]:
    """First and last step of each activation, in the order in which they are first written."""
    last_step = len(graph.operators)
    lifetimes = dict.fromkeys(graph.inputs, (0, 0))
    states = graph.states
    for step, operator in enumerate(graph.operators, start=1):
        for name in operator.outputs:
            lifetimes[name] = (step, step)
        for operand in operator.inputs:
            if operand in lifetimes:
                lifetimes[operand] = (lifetimes[operand][0], step)
    for name in graph.outputs:
        if name in lifetimes:
            lifetimes[name] = (lifetimes[name][0], last_step)
    return lifetimes | dict.fromkeys(states, (0, last_step))


def _alive_at(step: int, lifetimes: dict[str, tuple[int, int]], sizes: dict[str, int]) -> int:
    return sum(sizes[name] for name, (first, last) in lifetimes.items() if first <= step <= last)


def _overlap(left: tuple[int, int], right: tuple[int, int]) -> bool:
    return left[0] <= right[1] and right[0] <= left[1]


def _lowest_gap(size: int, taken: list[tuple[int, int]]) -> int:
    """The lowest offset with ``size`` bytes free between the (offset, size) pairs of ``taken``, sorted by offset."""
    lowest = 0
    for offset, extent in taken:
        if offset - lowest >= size:
            return lowest
        lowest = max(lowest, offset + extent)
    return lowest


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
