"""Signal to noise by layer: a curve that falls as noise gathers, and drops where a layer is at fault."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgefleet_compiler.checks.layers import Layer
from edgefleet_compiler.report.pictures.svg import element, picture, text, title

_WIDTH, _HEIGHT = 940.0, 240.0
_LEFT, _BOTTOM, _TOP = 56.0, 24.0, 14.0
_WIDEST_STEP = 48.0
_RADIUS = 4.5
_GRID_DB = 10.0
_FEWEST = 2  # a curve needs two points


def draw_ratios(layers: Sequence[Layer]) -> Markup | None:
    """The ratio of each layer in the order of execution; those with a cause in another colour.

    Args:
        layers: Of the report; those whose output carries no noise, or no signal, are left out.

    Returns:
        None where there are not two ratios to show.
    """
    measured = [(layer, layer.sqnr_db) for layer in layers if layer.sqnr_db is not None]
    if len(measured) < _FEWEST:
        return None
    step = min((_WIDTH - _LEFT) / len(measured), _WIDEST_STEP)
    ratios = [ratio for _, ratio in measured]
    low = min(0.0, _GRID_DB * (min(ratios) // _GRID_DB))
    high = _GRID_DB * (max(ratios) // _GRID_DB + 1)

    def height(ratio: float) -> float:
        return _TOP + (high - ratio) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)

    places = [(_LEFT + (index + 0.5) * step, height(ratio)) for index, ratio in enumerate(ratios)]
    width = _LEFT + step * len(measured)
    curve = " ".join(f"{'L' if index else 'M'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(places))
    points = [
        element("circle", title(_told(layer, ratio)), cx=x, cy=y, r=_RADIUS, class_="bad" if layer.cause else "point")
        for (layer, ratio), (x, y) in zip(measured, places, strict=True)
    ]
    lines = int((high - low) / _GRID_DB)
    return picture(
        width,
        _HEIGHT,
        f"signal to noise of {len(measured)} layers, {min(ratios):.1f} to {max(ratios):.1f} dB",
        *[_gridline(low + index * _GRID_DB, height(low + index * _GRID_DB), width) for index in range(lines + 1)],
        element("path", d=curve, class_="edge"),
        *points,
        text("layers in the order of execution", x=_LEFT, y=_HEIGHT - 6, class_="soft"),
    )


def _told(layer: Layer, ratio: float) -> str:
    told = f"{layer.name}: {ratio:.1f} dB"
    return f"{told}, {layer.cause}" if layer.cause else told


def _gridline(ratio: float, height: float, width: float) -> Markup:
    label = text(f"{ratio:.0f} dB", x=_LEFT - 6, y=height + 4, text_anchor="end", class_="soft")
    return element("line", x1=_LEFT, x2=width, y1=height, y2=height) + label
