"""Figures of an answer as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgefleet_hardware.speeds import LatencyEstimate

_SHORTEST = 0.1  # ms; below it starting the runtime's threads decides, which no figure per multiply-accumulate tells


def milliseconds(value: float) -> str:
    """``< 0.1 ms``, ``0.21 ms``, ``12 ms`` or ``1,130 ms``: as many digits as mean something."""
    return f"{_digits(value)} ms"


def span(estimate: LatencyEstimate) -> str:
    """``2.5 to 14 ms``."""
    if estimate.high_ms < _SHORTEST:
        return milliseconds(estimate.high_ms)
    return f"{_digits(estimate.low_ms)} to {milliseconds(estimate.high_ms)}"


def _digits(value: float) -> str:
    if value < _SHORTEST:
        return f"< {_SHORTEST}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
