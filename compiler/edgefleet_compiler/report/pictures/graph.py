"""A graph as a picture: operators from top to bottom in the order of execution, branches as curves beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgefleet_compiler.report.pictures.svg import element, picture, text, title

_ROW, _BOX_HEIGHT = 30.0, 22.0
_BOX_LEFT, _BOX_WIDTH = 4.0, 300.0
_BULGE, _WIDEST = 7.0, 110.0  # how far a curve swings out for each row that it passes


@dataclass(frozen=True)
class Box:
    """One operator.

    Attributes:
        kind: Its operator.
        name: Its name, shown on demand.
        detail: Beside the kind: the shape that it gives.
        tone: "integer", "float" or "convert", a class of the page.
        reads: Names of what it reads; constants may be among them.
        writes: Names of what it writes.
    """

    kind: str
    name: str
    detail: str
    tone: str
    reads: Sequence[str]
    writes: Sequence[str]


def draw_graph(boxes: Sequence[Box], label: str) -> Markup:
    """The operators and what flows between them.

    Args:
        boxes: In the order of execution.
        label: What the picture shows, for those who cannot see it.
    """
    rows = {name: row for row, box in enumerate(boxes) for name in box.writes}
    edges = sorted(
        {(rows[name], row) for row, box in enumerate(boxes) for name in box.reads if name in rows and rows[name] < row}
    )
    lines = [_straight(start) if end == start + 1 else _curve(start, end) for start, end in edges]
    width = _BOX_LEFT + _BOX_WIDTH + max((_bulge(start, end) for start, end in edges), default=0.0) + 6
    drawn = [_draw_box(box, row) for row, box in enumerate(boxes)]
    return picture(width, len(boxes) * _ROW + 4, label, *lines, *drawn)


def _draw_box(box: Box, row: int) -> Markup:
    top = row * _ROW + 2
    return element(
        "g",
        title(f"{box.name}: {box.kind} {box.detail}"),
        element("rect", x=_BOX_LEFT, y=top, width=_BOX_WIDTH, height=_BOX_HEIGHT, rx=4, class_=f"operator {box.tone}"),
        text(box.kind, x=_BOX_LEFT + 8, y=top + 15, class_="kind"),
        text(box.detail, x=_BOX_LEFT + _BOX_WIDTH - 8, y=top + 15, text_anchor="end", class_="soft"),
    )


def _straight(row: int) -> Markup:
    middle = _BOX_LEFT + _BOX_WIDTH / 2
    top = row * _ROW + 2 + _BOX_HEIGHT
    return element("path", d=f"M{middle} {top}V{top + _ROW - _BOX_HEIGHT}", class_="edge")


def _curve(start: int, end: int) -> Markup:
    right = _BOX_LEFT + _BOX_WIDTH
    first, last = (row * _ROW + 2 + _BOX_HEIGHT / 2 for row in (start, end))
    out = right + _bulge(start, end) / 0.75  # a cubic curve reaches three quarters of the way to its control points
    return element("path", d=f"M{right} {first}C{out:.1f} {first} {out:.1f} {last} {right} {last}", class_="edge")


def _bulge(start: int, end: int) -> float:
    return 0.0 if end == start + 1 else min(_BULGE * (end - start), _WIDEST)
