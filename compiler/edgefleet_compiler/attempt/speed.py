"""The speed of an artifact against the float model, by the target's own evidence, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgefleet_compiler.benchmark.evidence import InstructionEvidence
from edgefleet_compiler.benchmark.layer_times import Times, told_losses
from edgefleet_compiler.checks.latency import Latency

_HARDLY = 0.9  # of float's time
_NOISE = 1.02  # medians of interleaved runs repeat within 2 %


@dataclass(frozen=True)
class Speed:
    """Evidence of the target itself; all None where there is none.

    Attributes:
        latency: Timed on the host, where that is the target.
        instructions: Of a Raspberry Pi, where they are wanted.
        times: Of each layer, where the artifact is hardly faster on the host, or slower; empty otherwise.
    """

    latency: Latency | None = None
    instructions: InstructionEvidence | None = None
    times: Times = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times faster than the float model; None without evidence."""
        if self.instructions is not None:
            return self.instructions.baseline_total / self.instructions.total
        return None if self.latency is None else 1 / self.latency.ratio

    @property
    def slowness(self) -> str | None:
        """By how much the artifact is slower, and where; None where it is not, or nobody knows."""
        slower = _by_instructions(self.instructions) or _by_time(self.latency)
        return None if slower is None else f"{slower}. {told_losses(self.times)}".strip().rstrip(".")


def is_hardly_faster(latency: Latency | None) -> bool:
    """Whether an artifact is slower than the float model by the host's clock, or not worth a word faster."""
    return latency is not None and latency.ratio > _HARDLY


def _by_time(latency: Latency | None) -> str | None:
    if latency is None or latency.ratio <= _NOISE or latency.ratio_ci95[0] <= 1:
        return None
    times = f"{latency.median_ms:.3f} ms against {latency.baseline_median_ms:.3f} ms (medians, one thread)"
    return f"is slower than float here: {times}"


def _by_instructions(counted: InstructionEvidence | None) -> str | None:
    if counted is None or counted.total <= counted.baseline_total * _NOISE:
        return None
    counts = f"{counted.total:,} against {counted.baseline_total:,} in {counted.where}"
    return f"takes more instructions than float: {counts}, one thread"
