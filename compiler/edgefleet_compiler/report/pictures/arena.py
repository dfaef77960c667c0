"""The arena as a picture: time from left to right, addresses from bottom to top, one box an activation."""

from __future__ import annotations

from markupsafe import Markup

from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.lifetimes import tensor_bytes
from edgefleet_compiler.lowered.memory import MemoryPlan
from edgefleet_compiler.report.pictures.svg import element, picture, text, title
from edgefleet_hardware.units import format_bytes

_WIDTH, _HEIGHT = 940.0, 300.0
_LEFT, _BOTTOM, _TOP = 70.0, 24.0, 14.0
_WIDEST_STEP = 60.0
_TONES = 6  # colours that neighbours take in turns; classes t0 to t5 of the page
_LABEL_HEIGHT, _LETTER_WIDTH = 12.0, 6.2


def draw_arena(graph: LoweredGraph, plan: MemoryPlan) -> Markup:
    """Where each activation lies, and for how long.

    Args:
        graph: The lowered graph.
        plan: Of its activations; offsets in bytes, lifetimes in steps.
    """
    steps = len(graph.operators) + 1
    step_width = min((_WIDTH - _LEFT) / steps, _WIDEST_STEP)
    scale = (_HEIGHT - _BOTTOM - _TOP) / max(plan.peak_bytes, 1)
    boxes = [
        _box(name, plan, tensor_bytes(graph.tensors[name]), index, step_width, scale)
        for index, name in enumerate(plan.offsets)
    ]
    axis = [_gridline(share, plan.peak_bytes, scale, step_width * steps) for share in (0.0, 0.5, 1.0)]
    return picture(
        _LEFT + step_width * steps,
        _HEIGHT,
        f"{len(boxes)} activations in an arena of {format_bytes(plan.peak_bytes)}",
        *axis,
        *boxes,
        text("operators in the order of execution", x=_LEFT, y=_HEIGHT - 6, class_="soft"),
    )


def _box(name: str, plan: MemoryPlan, size: int, index: int, step_width: float, scale: float) -> Markup:
    first, last = plan.lifetimes[name]
    left, width = _LEFT + first * step_width, (last - first + 1) * step_width
    height = max(size * scale, 1.0)
    top = _HEIGHT - _BOTTOM - plan.offsets[name] * scale - height
    told = f"{name}: {format_bytes(size)} at {plan.offsets[name]:,}, steps {first} to {last}"
    shape = element(
        "rect", title(told), x=left + 0.5, y=top, width=max(width - 1, 1.0), height=height, class_=f"t{index % _TONES}"
    )
    label = format_bytes(size)
    if height < _LABEL_HEIGHT or width < len(label) * _LETTER_WIDTH:
        return shape
    return shape + text(label, x=left + width / 2, y=top + height / 2 + 4, text_anchor="middle", class_="on")


def _gridline(share: float, peak: int, scale: float, width: float) -> Markup:
    height = _HEIGHT - _BOTTOM - share * peak * scale
    return element("line", x1=_LEFT, x2=_LEFT + width, y1=height, y2=height) + text(
        format_bytes(round(share * peak)), x=_LEFT - 6, y=height + 4, text_anchor="end", class_="soft"
    )
