"""The values of an activation, with the range that was chosen for them, before and after a remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from edgefleet_compiler.report.pictures.svg import element, picture, text, title

_WIDTH, _HEIGHT = 440.0, 170.0
_MARGIN, _BOTTOM, _TOP = 16.0, 34.0, 20.0
_MOST_BARS = 110
_BRACKET = 7.0

Range = tuple[float, float]


def draw_histogram(edges: Sequence[float], counts: Sequence[int], before: Range, after: Range | None = None) -> Markup:
    """A histogram on a logarithmic scale, since what decides are the few values far out.

    Args:
        edges: Bounds of the bins, ascending, one more than ``counts``.
        counts: Values in each bin.
        before: The range that int8 had for them.
        after: The range that the remedy gives them; None without one.
    """
    edges, counts = _merged(edges, counts)
    low, high = min(edges[0], before[0]), max(edges[-1], before[1])
    reach = (high - low) or 1.0
    most = math.log1p(max(counts, default=0)) or 1.0
    floor = _HEIGHT - _BOTTOM

    def place(value: float) -> float:
        return _MARGIN + (min(max(value, low), high) - low) / reach * (_WIDTH - 2 * _MARGIN)

    bars = [
        element(
            "rect",
            title(f"{count:,} values from {left:.4g} to {right:.4g}"),
            x=place(left),
            y=floor - math.log1p(count) / most * (floor - _TOP),
            width=max(place(right) - place(left) - 0.3, 0.7),
            height=max(math.log1p(count) / most * (floor - _TOP), 1.0),
        )
        for left, right, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    brackets = [_bracket(place(before[0]), place(before[1]), floor + 4, "range before", before, "exceeded")]
    if after is not None:
        brackets.append(_bracket(place(after[0]), place(after[1]), floor + 13, "range after", after, "kept"))
    ends = [
        text(f"{value:.4g}", x=x, y=_HEIGHT - 2, text_anchor=anchor, class_="soft")
        for value, x, anchor in ((low, _MARGIN, "start"), (high, _WIDTH - _MARGIN, "end"))
    ]
    return picture(_WIDTH, _HEIGHT, f"{sum(counts):,} values from {low:.4g} to {high:.4g}", *bars, *brackets, *ends)


def _bracket(left: float, right: float, top: float, label: str, span: Range, kind: str) -> Markup:
    told = f"{label}: {span[0]:.4g} to {span[1]:.4g}"
    return element("rect", title(told), x=left, y=top, width=max(right - left, 1.0), height=_BRACKET, rx=2, class_=kind)


def _merged(edges: Sequence[float], counts: Sequence[int]) -> tuple[list[float], list[int]]:
    """So few bins that each can be seen: neighbours are added up."""
    together = max(1, math.ceil(len(counts) / _MOST_BARS))
    merged = [sum(counts[start : start + together]) for start in range(0, len(counts), together)]
    return [*edges[:-1:together], edges[-1]], merged
