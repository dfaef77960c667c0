"""The share of a model that --prune asks for."""

from __future__ import annotations

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
