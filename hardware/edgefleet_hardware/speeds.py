"""Published latencies (``speeds.toml``), and the estimate that they allow: a wide band, with its source."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from edgefleet_hardware.profile import TargetProfile
from edgefleet_hardware.units import parse_hertz


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A latency that somebody published.

    Attributes:
        core: Of the board.
        dtype: The model's element type.
        clock: Of the board, with its unit.
        model: Which model.
        macs: Its multiply-accumulates.
        milliseconds: One inference.
        source: Who says so, on which board, with which kernels.
    """

    core: str
    dtype: Literal["int8", "float32"]
    clock: str
    model: str
    macs: int
    milliseconds: float
    source: str

    @property
    def cycles_per_mac(self) -> float:
        """Clock cycles of the board for a multiply-accumulate, all that it does besides included."""
        return self.milliseconds / 1000 * parse_hertz(self.clock) / self.macs


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a core's true figure may lie from points.

    Attributes:
        core: Of a target.
        like: The core whose points are used.
        fastest, slowest: Factors on the cycles of the fastest and of the slowest point.
        reason: Why as far as that.
    """

    core: str
    like: str
    fastest: float
    slowest: float
    reason: str


class Speeds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    points: list[Point]
    bands: list[Band]


class LatencyEstimate(msgspec.Struct, frozen=True):
    """An estimate, not a measurement.

    Attributes:
        low_ms, high_ms: One inference takes between these, most likely.
        how: How sure it is, in words.
        sources: Where the points come from.
    """

    low_ms: float
    high_ms: float
    how: str
    sources: list[str]


@cache
def speeds() -> Speeds:
    """The published latencies that ship with this package."""
    data = (resources.files("edgefleet_hardware") / "speeds.toml").read_bytes()
    return msgspec.convert(tomllib.loads(data.decode()), Speeds)


def estimate_latency(profile: TargetProfile, macs: int, dtype: Literal["int8", "float32"]) -> LatencyEstimate | None:
    """Between what and what one inference takes on a target.

    Args:
        profile: The target; its core and clock count.
        macs: Multiply-accumulates of the model.
        dtype: What it computes with.

    Returns:
        None where nobody published a latency for such a core, or where multiply-accumulates do not tell.
    """
    band = next((band for band in speeds().bands if band.core == profile.core), None)
    if band is None or profile.clock is None or not macs:
        return None
    points = [point for point in speeds().points if point.core == band.like and point.dtype == dtype]
    if not points:
        return None
    cycles = [point.cycles_per_mac for point in points]
    milliseconds = macs / parse_hertz(profile.clock) * 1000
    return LatencyEstimate(
        low_ms=min(cycles) * band.fastest * milliseconds,
        high_ms=max(cycles) * band.slowest * milliseconds,
        how=f"from {len(points)} published latencies: {band.reason}",
        sources=sorted({point.source for point in points}),
    )
