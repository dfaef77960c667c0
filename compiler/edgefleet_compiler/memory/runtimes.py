"""The memory that one inference takes on a target, by the planner of the runtime that runs it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.memory import plan_memory
from edgefleet_compiler.memory.litert import plan_litert
from edgefleet_compiler.memory.onnxruntime import plan_onnxruntime
from edgefleet_compiler.memory.tflite_micro.arena import plan_arena
from edgefleet_compiler.memory.tflite_micro.kernels import Build
from edgefleet_hardware.profile import Runtime, TargetProfile

_32_BIT: Final = ("armv7l", "wasm32")


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
    """Working memory of an inference: activations, and what the runtime keeps of the weights and for its kernels.

    Args:
        graph: As our writer puts it into the ``.tflite`` file, or the nearest there is to an ONNX artifact.
        runtime: The one that runs it.
        profile: The target, for what its processor can do.
    """
    match runtime.name:
        case "tflite-micro":
            build = build_of(runtime, profile)
            plan = plan_memory(graph)
            arena = plan_arena(graph, build, backwards=plan.backwards, offsets=plan.offsets if plan.in_file else None)
            vectors = "" if build.kernels == "reference" or build.vectors == "none" else f", {build.vectors}"
            return PeakMemory(arena.bytes, f"tflite-micro arena ({build.kernels}{vectors})", arena.unmodelled)
        case "litert" | "tflite-runtime":
            pointer_bytes = 4 if profile.instruction_set in _32_BIT else 8
            return PeakMemory(plan_litert(graph, pointer_bytes=pointer_bytes).total, f"{runtime.name} with xnnpack")
        case "onnxruntime" | "onnxruntime-web":
            return PeakMemory(plan_onnxruntime(graph).total, f"{runtime.name} arena and weights")


def build_of(runtime: Runtime, profile: TargetProfile) -> Build:
    """How TFLite Micro is built for a target."""
    assert runtime.kernels is not None, "profiles are checked: TFLite Micro has kernels"
    vectors: Literal["none", "dsp", "mve"] = "none"
    if "mve" in profile.extensions:
        vectors = "mve"
    elif "dsp" in profile.extensions:
        vectors = "dsp"
    return Build(runtime.kernels, vectors, 1 if profile.instruction_set.startswith("arm") else 4)
