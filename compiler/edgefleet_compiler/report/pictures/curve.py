"""A learning curve: one or two lines over epochs, with the best epoch marked."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgefleet_compiler.report.pictures.svg import element, picture, text, title

_WIDTH, _HEIGHT = 620.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 16.0, 16.0, 34.0

Point = tuple[int, float]


def draw_curve(label: str, lines: Sequence[tuple[str, Sequence[Point]]], best: int | None = None) -> Markup:
    """Lines over epochs on one scale.

    Args:
        label: What is drawn, for those who cannot see it.
        lines: The name of each and its points (epoch, value), epochs ascending; empty ones are left out. The last is
            drawn strongly.
        best: The epoch to mark on the last line.
    """
    points = [point for _, line in lines for point in line]
    last = max((epoch for epoch, _ in points), default=1) or 1
    low, high = min((value for _, value in points), default=0.0), max((value for _, value in points), default=1.0)
    reach = (high - low) or 1.0

    def place(point: Point) -> tuple[float, float]:
        epoch, value = point
        return (
            _LEFT + epoch / last * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (value - low) / reach * (_HEIGHT - _TOP - _BOTTOM),
        )

    drawn = [
        _line(name, [place(point) for point in line], is_main=index == len(lines) - 1)
        for index, (name, line) in enumerate(lines)
        if line
    ]
    marks = [
        element(
            "circle", title(f"epoch {epoch}: {value:.6g}"), cx=x, cy=y, r=5.0 if epoch == best else 2.5, class_="point"
        )
        for epoch, value in (lines[-1][1] if lines else ())
        for x, y in (place((epoch, value)),)
    ]
    return picture(_WIDTH, _HEIGHT, label, *_axes(last, low, high), *drawn, *marks)


def _line(name: str, places: Sequence[tuple[float, float]], *, is_main: bool) -> Markup:
    way = " ".join(f"{'L' if number else 'M'}{x:.1f},{y:.1f}" for number, (x, y) in enumerate(places))
    return element("path", title(name), d=way, class_="edge line" if is_main else "edge")


def _axes(last: int, low: float, high: float) -> list[Markup]:
    floor = _HEIGHT - _BOTTOM
    return [
        element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=floor, y2=floor),
        element("line", x1=_LEFT, x2=_LEFT, y1=_TOP, y2=floor),
        text(f"{high:.4g}", x=_LEFT - 6, y=_TOP + 8, text_anchor="end", class_="soft"),
        text(f"{low:.4g}", x=_LEFT - 6, y=floor, text_anchor="end", class_="soft"),
        text("0", x=_LEFT, y=_HEIGHT - 14, text_anchor="middle", class_="soft"),
        text(f"epoch {last}", x=_WIDTH - _RIGHT, y=_HEIGHT - 14, text_anchor="end", class_="soft"),
    ]
