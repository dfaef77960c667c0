"""Refuses a TFLite model for all that the compiler cannot take of it."""

from __future__ import annotations

from collections.abc import Sequence

from edgefleet_compiler.refusal import Refusal, counted, unsupported


def refuse(refusals: Sequence[Refusal], expected: str = "") -> None:
    """Refuse a model for these operators; nothing happens when there are none.

    Args:
        refusals: In execution order.
        expected: What could be taken.

    Raises:
        OperatorUnsupported: There are some.
    """
    if refusals:
        seen = f"{counted(refusals)} of the TFLite model cannot be compiled"
        raise unsupported(refusals, seen, expected=expected, remedy="Replace these layers in the source model.")
