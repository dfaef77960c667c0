"""Budgets: what the artifact takes of flash, memory and time, against the target's figures and the user's limits."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe import Scheme
from edgefleet_contract.errors import BudgetExceeded, UsageMalformed
from edgefleet_hardware.profile import TargetProfile
from edgefleet_hardware.units import format_bytes

Limit = Literal["flash", "ram", "latency_ms"]


class BudgetLine(msgspec.Struct, frozen=True):
    """One limit and what was measured against it.

    Attributes:
        name: What is limited.
        limit: In bytes, or in milliseconds for latency.
        value: In the same unit; None where nothing measures it.
        ok: Whether the value keeps to the limit.
        set_by: "target" for the profile's figure, "option" for the user's.
    """

    name: Limit
    limit: float
    value: float | None
    ok: bool
    set_by: Literal["target", "option"]


def check_budget(
    options: CompileOptions, profile: TargetProfile, *, flash: int, ram: int | None, latency_ms: float | None
) -> list[BudgetLine]:
    """Hold an artifact against the target's and the user's limits.

    A limit that nothing could be measured against is not kept: a gate that cannot see does not open.

    Args:
        options: With the user's limits.
        profile: With the target's figures.
        flash: Bytes of the artifact.
        ram: Bytes of working memory of an inference; None where no planner takes the model.
        latency_ms: Median of one inference on the target itself; None without evidence from it.
    """
    limits: list[tuple[Limit, float | None, Literal["target", "option"]]] = [
        ("flash", profile.flash_bytes, "target"),
        ("flash", options.max_flash, "option"),
        ("ram", profile.ram_bytes, "target"),
        ("ram", options.max_ram, "option"),
        ("latency_ms", None if options.max_latency is None else options.max_latency * 1000, "option"),
    ]
    values: dict[Limit, float | None] = {"flash": flash, "ram": ram, "latency_ms": latency_ms}
    return [
        BudgetLine(name, limit, values[name], _keeps(values[name], limit, set_by), set_by)
        for name, limit, set_by in limits
        if limit is not None
    ]


def _keeps(value: float | None, limit: float, set_by: str) -> bool:
    if value is None:
        return set_by == "target"  # the profile's figure was not asked for as a gate
    return value <= limit


def check_limits_can_be_judged(options: CompileOptions, profile: TargetProfile, *, host_is_target: bool) -> None:
    """Refuse a latency limit for a target whose latency nothing here measures.

    Raises:
        UsageMalformed: There is such a limit.
    """
    if options.max_latency is not None and not host_is_target:
        raise UsageMalformed(
            f"--max-latency was given, and this machine cannot measure the latency of {profile.name!r}",
            expected="a target that is this machine's own architecture",
            remedy="Leave --max-latency out.",
        )


def over_budget(lines: list[BudgetLine], profile: TargetProfile, scheme: Scheme) -> BudgetExceeded | None:
    """The refusal that a budget asks for, naming every limit that is not kept; None if all are.

    Args:
        lines: From ``check_budget``.
        profile: The target.
        scheme: Of the artifact: int8 is the smallest there is.
    """
    broken = [line for line in lines if not line.ok]
    seen = broken_limits(lines)
    if not broken:
        return None
    return BudgetExceeded(
        f"The artifact for {profile.name!r} does not keep to its budget: {seen}",
        remedy="Allow more, or choose a smaller model."
        if scheme == "int8"
        else "Allow more, or choose --recipe int8 or a smaller model.",
        target=profile.name,
        limits=[line.name for line in broken],
    )


def broken_limits(lines: list[BudgetLine]) -> str:
    """The limits that are not kept, with their figures, for people; empty where all are."""
    return "; ".join(
        f"{label(line.name)} {quantity(line.name, line.value)}, the {line.set_by}'s limit is "
        f"{quantity(line.name, line.limit)}"
        for line in lines
        if not line.ok
    )


def label(name: str) -> str:
    """What is limited, for people."""
    return {"flash": "flash", "ram": "RAM", "latency_ms": "latency"}[name]


def quantity(name: str, value: float | None) -> str:
    """A limit or value for people: bytes as sizes, latencies in milliseconds."""
    if value is None:
        return "unknown"
    return f"{value:.3f} ms" if name == "latency_ms" else format_bytes(int(value))


def plain(name: str, value: float) -> str:
    """A limit or value to the byte, or to the microsecond."""
    return f"{value:.3f} ms" if name == "latency_ms" else f"{value:,.0f} bytes"
