"""What of a model the compiler cannot take: each part with its reason, all told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgefleet_contract.errors import OperatorUnsupported


@dataclass(frozen=True)
class Refusal:
    """A part of a model that cannot be taken, and why.

    Attributes:
        node: Name of the node, or of the first output, input or subgraph that is at fault.
        operator: Its kind, as the model's format spells it.
        reason: Why.
    """

    node: str
    operator: str
    reason: str


def unsupported(refusals: Sequence[Refusal], seen: str, *, expected: str, remedy: str) -> OperatorUnsupported:
    """The error that names every refusal.

    Args:
        refusals: In execution order; at least one.
        seen: What they stand in the way of; the parts follow after a colon.
        expected: What could be taken.
        remedy: What to do.
    """
    told = "; ".join(f"{refusal.node!r} ({refusal.operator}): {refusal.reason}" for refusal in refusals)
    return OperatorUnsupported(
        f"{seen}: {told}",
        expected=expected,
        remedy=remedy,
        operators=[{"node": each.node, "operator": each.operator, "reason": each.reason} for each in refusals],
    )


def counted(refusals: Sequence[Refusal]) -> str:
    """``1 part`` or ``3 parts``."""
    return f"{len(refusals)} part{'s' if len(refusals) > 1 else ''}"
