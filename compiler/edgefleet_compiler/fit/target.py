"""One model held against one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from edgefleet_compiler.artifact import Artifact, Workbench
from edgefleet_compiler.checks.operators import TOO_NEW, missing_operators
from edgefleet_compiler.fit.record import Bind, Binding, Cost, Sureness, TargetFit
from edgefleet_compiler.keeping import check_kernels
from edgefleet_compiler.memory.runtimes import PeakMemory, peak_memory
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.refusal import Refusal
from edgefleet_contract.errors import GateError, OperatorUnsupported
from edgefleet_hardware.profile import Runtime, TargetProfile
from edgefleet_hardware.runtime_limits import limits_of
from edgefleet_hardware.speeds import LatencyEstimate, estimate_latency
from edgefleet_hardware.units import format_bytes


@dataclass(frozen=True)
class Limits:
    """What the user allows, beside what the target has; None where nothing was said.

    Attributes:
        flash: Bytes.
        ram: Bytes.
        latency: Seconds.
    """

    flash: int | None = None
    ram: int | None = None
    latency: float | None = None


class TargetExaminer:
    """Holds a model against targets; artifacts that several targets share are made once.

    Args:
        bench: Makes artifacts.
        limits: What the user allows.
        assumed: Whether int8 parameters are assumed, as there is no calibration set.
    """

    def __init__(self, bench: Workbench, limits: Limits, *, assumed: bool) -> None:
        self._bench = bench
        self._limits = limits
        self._assumed = assumed

    def examine(self, recipe: Recipe, profile: TargetProfile) -> TargetFit:
        """Make the artifact, and hold it against all that the target has.

        Args:
            recipe: What compiling for the target would begin with.
            profile: The target.
        """
        runtime = profile.runtime_for(recipe.format)
        try:
            artifact = self._bench.build(recipe, max_opset=runtime.max_opset)
            lowered = artifact.exported.lowered
            check_kernels(lowered, artifact.recipe, profile)
        except GateError as refusal:
            return self.refused(profile, refusal)
        binds = []
        if recipe.format == "tflite" and lowered is not None:
            binds += [_missing(part) for part in missing_operators(lowered, runtime)]
        memory = None if lowered is None else peak_memory(lowered, runtime, profile)
        cost = self._cost(artifact, runtime, profile, memory)
        binds += self._binding_limits(cost, artifact, runtime, profile)
        return TargetFit(
            target=profile.name,
            description=profile.description,
            fits=not binds,
            binds=binds,
            cost=cost,
            ram_limit_bytes=_tighter(profile.ram_bytes, self._limits.ram),
            flash_limit_bytes=_tighter(profile.flash_bytes, self._limits.flash),
            sure=self._how_sure(artifact, profile, memory, cost),
            notes=_notes(artifact, runtime, profile),
        )

    def refused(self, profile: TargetProfile, refusal: GateError) -> TargetFit:
        """The answer where no artifact can be made."""
        if isinstance(refusal, OperatorUnsupported):
            parts = msgspec.convert(refusal.facts["operators"], list[Refusal])
            binds = [_missing(part) for part in parts]
        else:
            binds = [Binding("type", refusal.seen)]
        return TargetFit(
            target=profile.name,
            description=profile.description,
            fits=False,
            binds=binds,
            cost=None,
            ram_limit_bytes=_tighter(profile.ram_bytes, self._limits.ram),
            flash_limit_bytes=_tighter(profile.flash_bytes, self._limits.flash),
            sure=None,
            notes=[],
        )

    def _cost(self, artifact: Artifact, runtime: Runtime, profile: TargetProfile, memory: PeakMemory | None) -> Cost:
        exported = artifact.exported
        return Cost(
            format=artifact.recipe.format,
            recipe=artifact.recipe.scheme,
            artifact_bytes=len(artifact.data),
            flash_bytes=len(artifact.data) + _code_bytes(runtime)[1],
            ram_bytes=None if memory is None else memory.bytes,
            ram_of=None if memory is None else memory.planner,
            macs=exported.macs,
            latency=_latency(artifact, profile),
        )

    def _binding_limits(
        self, cost: Cost, artifact: Artifact, runtime: Runtime, profile: TargetProfile
    ) -> list[Binding]:
        """Flash, RAM and latency that the target or the user does not allow."""
        least = len(artifact.data) + _code_bytes(runtime)[0]
        sizes: list[tuple[Bind, int | None, int | None]] = [
            ("flash", least, profile.flash_bytes),
            ("flash", cost.artifact_bytes, self._limits.flash),
            ("RAM", cost.ram_bytes, _tighter(profile.ram_bytes, self._limits.ram)),
        ]
        binds = [
            Binding(what, f"{format_bytes(needed)} of {format_bytes(allowed)} {what}")
            for what, needed, allowed in sizes
            if needed is not None and allowed is not None and needed > allowed
        ]
        limit, latency = self._limits.latency, cost.latency
        if limit is not None and latency is not None and latency.low_ms > limit * 1000:
            told = f"at least {latency.low_ms:.3g} ms estimated, {limit * 1000:.3g} ms allowed"
            binds.append(Binding("latency", told))
        return binds

    def _how_sure(self, artifact: Artifact, profile: TargetProfile, memory: PeakMemory | None, cost: Cost) -> Sureness:
        assumed = artifact.recipe.scheme == "int8" and self._assumed
        ram: Literal["to the byte", "at least", "planned", "unknown"] = "unknown"
        if memory is not None:
            modelled: Literal["to the byte", "at least"] = "at least" if memory.unmodelled else "to the byte"
            ram = modelled if profile.is_microcontroller else "planned"
        return Sureness(
            size="assumed scales" if assumed else "exact",
            ram=ram,
            latency="unknown" if cost.latency is None else "estimated",
        )


def _missing(part: Refusal) -> Binding:
    what: Bind = "version" if part.reason.startswith(TOO_NEW) else "operator"
    return Binding(what, f"{part.node} ({part.operator}): {part.reason}")


def _tighter(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _code_bytes(runtime: Runtime) -> tuple[int, int]:
    """Between what and what the interpreter's code takes of a microcontroller's flash; (0, 0) elsewhere."""
    return (0, 0) if runtime.kernels is None else limits_of(runtime.name).code_bytes[runtime.kernels]


def _latency(artifact: Artifact, profile: TargetProfile) -> LatencyEstimate | None:
    computes: Literal["int8", "float32"] = "int8" if artifact.recipe.scheme in ("int8", "source") else "float32"
    return estimate_latency(profile, artifact.exported.macs or 0, computes)


def _notes(artifact: Artifact, runtime: Runtime, profile: TargetProfile) -> list[str]:
    notes = []
    if runtime.kernels is not None:
        low, high = map(format_bytes, _code_bytes(runtime))
        notes.append(f"Of the flash, {low} to {high} are the interpreter's code, by the kinds of operators.")
    lowered = artifact.exported.lowered
    if profile.int8_only and lowered is not None:
        outputs = [(operator.kind, lowered.tensors[operator.outputs[0]].dtype) for operator in lowered.operators]
        real = sorted({kind for kind, dtype in outputs if dtype == np.float32 and kind != "DEQUANTIZE"})
        if real:
            notes.append(f"These stay in float32, which the optimised kernels do not compute: {', '.join(real)}.")
    return notes
