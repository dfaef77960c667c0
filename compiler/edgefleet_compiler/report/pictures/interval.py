"""The accuracy drop with its interval on a number line: does the interval hold zero?"""

from __future__ import annotations

from markupsafe import Markup

from edgefleet_compiler.report.pictures.svg import element, picture, text, title

_WIDTH, _HEIGHT, _MARGIN = 420.0, 56.0, 40.0
_MIDDLE = 22.0


def draw_interval(drop: float, low: float, high: float) -> Markup:
    """A drop, a fraction of the metric, and the interval that holds it with 95 %."""
    reach = max(abs(low), abs(high), abs(drop)) or 1.0

    def place(value: float) -> float:
        return _WIDTH / 2 + value / reach * (_WIDTH / 2 - _MARGIN)

    ends = [
        text(f"{value:+.4f}", x=place(value), y=_HEIGHT - 6, text_anchor="middle", class_="soft")
        for value in (-reach, 0.0, reach)
    ]
    return picture(
        _WIDTH,
        _HEIGHT,
        f"drop {drop:+.4f}, interval {low:+.4f} to {high:+.4f}",
        element("line", x1=place(-reach), x2=place(reach), y1=_MIDDLE, y2=_MIDDLE),
        element("line", x1=place(0.0), x2=place(0.0), y1=_MIDDLE - 14, y2=_MIDDLE + 14),
        element(
            "rect",
            title(f"95 % interval {low:+.4f} to {high:+.4f}"),
            x=place(low),
            y=_MIDDLE - 5,
            width=max(place(high) - place(low), 1.0),
            height=10,
            rx=5,
            class_="interval",
        ),
        element("circle", title(f"drop {drop:+.4f}"), cx=place(drop), cy=_MIDDLE, r=5, class_="point"),
        *ends,
    )
