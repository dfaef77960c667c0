"""Pictures of the report: inline SVG that needs no script, in the page's own colours, with a title on every shape."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from edgefleet_compiler.exports import Exported
from edgefleet_compiler.report.pictures.arena import draw_arena
from edgefleet_compiler.report.pictures.boxes import boxes_of_file
from edgefleet_compiler.report.pictures.graph import Box, draw_graph

_MOST_BOXES = 500  # of a net that is unrolled over time nobody looks at more, and a browser would be slow


@dataclass(frozen=True)
class Pictures:
    """What the page shows besides figures; None where there is nothing to draw.

    Attributes:
        before: The graph of the source.
        after: The graph of the artifact.
        arena: The activations in memory over time.
    """

    before: Markup
    after: Markup | None = None
    arena: Markup | None = None


def draw_pictures(source: bytes, exported: Exported | None) -> Pictures:
    """The pictures of one target.

    Args:
        source: The model file as its runtime loads it.
        exported: The artifact; None where none could be made.
    """
    before = _drawn(boxes_of_file(source), "the source")
    if exported is None:
        return Pictures(before)
    arena = None
    if exported.lowered is not None and exported.memory is not None:
        arena = draw_arena(exported.lowered, exported.memory)
    return Pictures(before, _drawn(boxes_of_file(exported.data), "the artifact"), arena)


def _drawn(boxes: list[Box], what: str) -> Markup:
    shown = boxes if len(boxes) <= _MOST_BOXES else [*boxes[:_MOST_BOXES], _rest(len(boxes) - _MOST_BOXES)]
    return draw_graph(shown, f"the {len(boxes)} operators of {what}")


def _rest(count: int) -> Box:
    return Box(f"and {count} more", "the rest", "", "float", [], [])
