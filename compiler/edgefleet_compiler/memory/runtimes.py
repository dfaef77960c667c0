"""The memory that one inference takes on a target, by the planner of the runtime that runs it there."""

from __future__ import annotations

from dataclasses import dataclass

from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.memory import plan_memory
from edgefleet_compiler.memory.tflite_micro.arena import plan_arena
from edgefleet_compiler.memory.tflite_micro.kernels import Build
from edgefleet_hardware.profile import Runtime, TargetProfile


@dataclass(frozen=True)
class PeakMemory:
    """What an inference takes.

    Attributes:
        bytes: Working memory at its peak.
        planner: Which planner was followed, for reports.
        unmodelled: Kinds of operators whose kernels may take more than is counted, sorted.
    """

    bytes: int
    planner: str
    unmodelled: tuple[str, ...] = ()


def peak_memory(graph: LoweredGraph, runtime: Runtime, profile: TargetProfile) -> PeakMemory:
    """Working memory of an inference.

    On a microcontroller the whole tensor arena of TFLite Micro; elsewhere the plan of the activations.

    Args:
        graph: As it stands in the ``.tflite`` file, or the nearest there is to an ONNX artifact.
        runtime: The one that runs it.
        profile: The target, for what its processor can do.
    """
    if runtime.name != "tflite-micro":
        plan = plan_memory(graph)
        return PeakMemory(plan.peak_bytes, plan.planner)
    build = build_of(runtime, profile)
    arena = plan_arena(graph, build)
    vectors = "" if build.kernels == "reference" or build.vectors == "none" else f", {build.vectors}"
    return PeakMemory(arena.bytes, f"tflite-micro arena ({build.kernels}{vectors})", arena.unmodelled)


def build_of(runtime: Runtime, profile: TargetProfile) -> Build:
    """How TFLite Micro is built for a target."""
    assert runtime.kernels is not None, "profiles are checked: TFLite Micro has kernels"
    if "mve" in profile.extensions:
        return Build(runtime.kernels, "mve")
    return Build(runtime.kernels, "dsp" if "dsp" in profile.extensions else "none")
