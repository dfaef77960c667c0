"""The arena of activations: where each lies in RAM, and so how much RAM one inference takes at least.

This is the plan alone, as TFLite Micro's planner makes it or takes it from the file (``memory.greedy``). What a runtime
takes beyond it, and how other runtimes plan, is in ``edgefleet_compiler.memory``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.lifetimes import lifetimes, tensor_bytes
from edgefleet_compiler.memory.greedy import Buffer, align, extent, most_alive, place, place_by_start

PLANNER: Final = "greedy-by-size"
"""TFLite Micro's own."""
OFFLINE_PLANNER: Final = "offline-by-start"
"""Ours, of which it is told in the file."""

# TFLite Micro's MicroArenaBufferAlignment().
ALIGNMENT: Final = 16
_BYTES_IN_FILE: Final = 4  # of an offset


@dataclass(frozen=True)
class MemoryPlan:
    """Where activations lie.

    Attributes:
        peak_bytes: What the arena takes: the end of the tensor that lies highest.
        live_bytes: The most that is alive at one step; no planner without in-place operators gets below it.
        offsets: Each activation's first byte in the arena, a multiple of 16, in execution order.
        lifetimes: The first and last step at which each activation holds a value (``lowered.lifetimes``).
        backwards: Whether the plan is smaller where activations are numbered in the order opposite to execution: of
            equal sizes the planner places the later number first, which decides the peak of MobileNets.
        planner: Which planner made it: where it is not TFLite Micro's own, the file has to bring the offsets.
    """

    peak_bytes: int
    live_bytes: int
    offsets: dict[str, int]
    lifetimes: dict[str, tuple[int, int]]
    backwards: bool
    planner: str = PLANNER

    @property
    def in_file(self) -> bool:
        """Whether the ``.tflite`` file brings the offsets, as metadata that TFLite Micro follows."""
        return self.planner != PLANNER


def plan_memory(graph: LoweredGraph) -> MemoryPlan:
    """Plan the arena of a graph: its inputs, outputs, state and what its operators write.

    The ``.tflite`` writer numbers tensors as ``MemoryPlan.backwards`` says, so that TFLite Micro's plan is this one.
    Where each tensor placed when its life begins takes so much less that the offsets are worth their bytes in the
    file, it writes those.

    Args:
        graph: Operators in execution order.
    """
    last_step = len(graph.operators)
    spans = lifetimes(graph) | dict.fromkeys(graph.states, (0, last_step))
    buffers = [
        Buffer(align(tensor_bytes(graph.tensors[name]), ALIGNMENT), first, last)
        for name, (first, last) in spans.items()
    ]
    forwards, backwards = place(buffers), place(buffers[::-1])[::-1]
    smaller = extent(buffers, backwards) < extent(buffers, forwards)
    plans = {PLANNER: backwards if smaller else forwards, OFFLINE_PLANNER: place_by_start(buffers)}
    peaks = {planner: extent(buffers, offsets) for planner, offsets in plans.items()}
    # States lie in the tail of TFLite Micro's arena, beside its plan.
    worth_it = not graph.states and peaks[PLANNER] - peaks[OFFLINE_PLANNER] > _BYTES_IN_FILE * len(graph.tensors)
    planner = OFFLINE_PLANNER if worth_it else PLANNER
    return MemoryPlan(
        peak_bytes=peaks[planner],
        live_bytes=most_alive(buffers),
        offsets=dict(zip(spans, plans[planner], strict=True)),
        lifetimes=spans,
        backwards=smaller and not worth_it,
        planner=planner,
    )
