"""A Pareto front as a picture: a cost from left to right and quality from bottom to top, so that best is above left."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgefleet_compiler.report.pictures.svg import element, picture, text, title

_WIDTH, _HEIGHT = 940.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 24.0, 26.0, 40.0
_RADIUS, _PALE_RADIUS = 5.0, 3.5
_LINES = 5
_MARGIN = 0.06  # of an axis, beyond the outermost points
_CROWDED = 16.0  # labels nearer than that go below their point


@dataclass(frozen=True)
class Point:
    """One candidate.

    Attributes:
        label: Stands beside it, if it is on the front.
        told: What a browser shows over it.
        cost: The less the better.
        quality: The more the better.
        on_front: Whether it is on the front; that may be for another cost than this picture's.
    """

    label: str
    told: str
    cost: float
    quality: float
    on_front: bool


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    Attributes:
        name: Of the figure, with its unit.
        tick: The text of a value.
        unit: What values are round in: 1024 for bytes.
    """

    name: str
    tick: Callable[[float], str]
    unit: float = 1.0


def draw_front(points: Sequence[Point], cost: Axis, quality: Axis) -> Markup | None:
    """The candidates, and a line along those that no other beats in these two figures.

    Candidates that are worse than all of the front are not drawn: they would press the front together.

    Args:
        points: All candidates with both figures.
        cost: The axis from left to right.
        quality: The axis from bottom to top.

    Returns:
        None without a point on the front.
    """
    front = [point for point in points if point.on_front]
    if not front:
        return None
    across = _scale([point.cost for point in front], _LEFT, _WIDTH - _RIGHT)
    upward = _scale([point.quality for point in front], _HEIGHT - _BOTTOM, _TOP)
    pale = [
        point for point in points if not point.on_front and across.holds(point.cost) and upward.holds(point.quality)
    ]
    best = _best(front)
    shown = f"{len(front)} candidates of the front: {cost.name} against {quality.name}"
    return picture(
        _WIDTH,
        _HEIGHT,
        shown,
        *[_upright(value, across.place(value), cost) for value in across.ticks(cost.unit)],
        *[_level(value, upward.place(value), quality) for value in upward.ticks(quality.unit)],
        element("path", d=_stairs([(across.place(p.cost), upward.place(p.quality)) for p in best]), class_="edge"),
        *[_dot(point, across, upward, "pale", _PALE_RADIUS) for point in pale],
        *[_dot(point, across, upward, "point", _RADIUS) for point in front],
        *_labels(front, across, upward),
        text(cost.name, x=_WIDTH - _RIGHT, y=_HEIGHT - 6, text_anchor="end", class_="soft"),
        text(quality.name, x=4.0, y=14.0, class_="soft"),
    )


@dataclass(frozen=True)
class _Scale:
    """From values to places, both linear.

    Attributes:
        low: The value at ``start``.
        high: The value at ``end``.
    """

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, unit: float) -> list[float]:
        """Round values within, in steps of 1, 2 or 5 times a power of ten of a unit."""
        rough = (self.high - self.low) / _LINES / unit
        power = 10.0 ** math.floor(math.log10(rough))
        step = unit * next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = math.ceil(self.low / step)
        return [index * step for index in range(first, math.floor(self.high / step) + 1)]


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    margin = (max(values) - min(values) or abs(max(values)) or 1.0) * _MARGIN
    return _Scale(min(values) - margin, max(values) + margin, start, end)


def _best(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both figures, from the cheapest on."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.quality)):
        if not kept or point.quality > kept[-1].quality:
            kept.append(point)
    return kept


def _stairs(places: Sequence[tuple[float, float]]) -> str:
    """A path from place to place, first to the right and then up: between two points there is no candidate."""
    steps = [f"M{places[0][0]:.1f} {places[0][1]:.1f}", *(f"H{x:.1f} V{y:.1f}" for x, y in places[1:])]
    return " ".join(steps)


def _dot(point: Point, across: _Scale, upward: _Scale, kind: str, radius: float) -> Markup:
    x, y = across.place(point.cost), upward.place(point.quality)
    return element("circle", title(point.told), cx=x, cy=y, r=radius, class_=kind)


def _labels(front: Sequence[Point], across: _Scale, upward: _Scale) -> list[Markup]:
    """The labels of the front: above the point, or below it where the one before is near."""
    labels: list[Markup] = []
    before = (-math.inf, math.inf)
    for point in sorted(front, key=lambda point: (point.cost, point.quality)):
        x, y = across.place(point.cost), upward.place(point.quality)
        above = y - _RADIUS - 4
        height = y + _RADIUS + 12 if math.dist(before, (x, above)) < _CROWDED else above
        before = (x, height)
        labels.append(text(point.label, x=x, y=height, text_anchor="middle"))
    return labels


def _upright(value: float, x: float, axis: Axis) -> Markup:
    label = text(axis.tick(value), x=x, y=_HEIGHT - _BOTTOM + 16, text_anchor="middle", class_="soft")
    return element("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM) + label


def _level(value: float, y: float, axis: Axis) -> Markup:
    label = text(axis.tick(value), x=_LEFT - 6, y=y + 4, text_anchor="end", class_="soft")
    return element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y) + label
