"""Shares of what a model costs: such as --prune asks for, and such as can be had."""

from __future__ import annotations

from fractions import Fraction

from edgefleet_contract.errors import UsageMalformed


def check_ratio(ratio: float | None) -> None:
    """Refuse a share that leaves everything or nothing.

    Args:
        ratio: Of the multiply-accumulates; None where nothing was asked for.

    Raises:
        UsageMalformed: It is one.
    """
    if ratio is not None and not 0 < ratio < 1:
        raise UsageMalformed(
            f"--prune is {ratio:g}",
            expected="a share of the multiply-accumulates above 0 and below 1, such as 0.3",
        )


def share_of(ratio: float, everything: int) -> Fraction:
    """So much of everything, exact in the digits of the ratio: 0.9 of 10 is 9."""
    return everything * Fraction(str(ratio))


def most_to_ask(saved: int, everything: int) -> float:
    """The largest ratio in thousandths that ``saved`` of ``everything`` is enough for; 0 of nothing."""
    return 1000 * saved // max(everything, 1) / 1000
