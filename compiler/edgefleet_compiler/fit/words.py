"""Figures of an answer as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgefleet_hardware.speeds import LatencyEstimate

_SHORTEST = 0.1  # ms; below it starting the runtime's threads decides, which no figure per multiply-accumulate tells

_LONG = 10_000.0  # ms; from here on seconds are easier to read


def milliseconds(value: float) -> str:
    """``< 0.1 ms``, ``0.21 ms``, ``12 ms``, ``1,130 ms`` or ``21 s``: as many digits as mean something."""
    if value >= _LONG:
        return f"{_digits(value / 1000)} s"
    return f"{_digits(value)} ms"


def span(estimate: LatencyEstimate) -> str:
    """``2.5 to 14 ms`` or ``5.8 to 61 s``."""
    if estimate.high_ms < _SHORTEST:
        return milliseconds(estimate.high_ms)
    unit = 1000 if estimate.high_ms >= _LONG else 1
    return f"{_digits(estimate.low_ms / unit)} to {milliseconds(estimate.high_ms)}"


def _digits(value: float) -> str:
    if value < _SHORTEST:
        return f"< {_SHORTEST}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
