"""Operators of a TFLite model that the compiler cannot take: all are told at once, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from edgefleet_contract.errors import OperatorUnsupported


@dataclass(frozen=True)
class Refusal:
    """An operator that cannot be taken, and why.

    Attributes:
        node: Name of its first output, or of the graph's input or subgraph that is at fault.
        operator: Its kind, as the schema spells it.
        reason: Why.
    """

    node: str
    operator: str
    reason: str


def refuse(refusals: Sequence[Refusal], expected: str = "") -> None:
    """Refuse a model for these operators; nothing happens when there are none.

    Args:
        refusals: In execution order.
        expected: What could be taken.

    Raises:
        OperatorUnsupported: There are some.
    """
    if not refusals:
        return
    told = "; ".join(f"{refusal.node!r} ({refusal.operator}): {refusal.reason}" for refusal in refusals)
    raise OperatorUnsupported(
        f"{len(refusals)} part{'s' if len(refusals) > 1 else ''} of the TFLite model cannot be compiled: {told}",
        expected=expected,
        remedy="Replace these layers in the source model.",
        operators=[asdict(refusal) for refusal in refusals],
    )
