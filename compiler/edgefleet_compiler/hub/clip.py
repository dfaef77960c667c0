"""Relu and Clip as one thing: an interval that a value is forced into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Interval:
    """Closed, infinite where there is no bound."""

    low: float
    high: float

    def then(self, outer: Interval) -> Interval:
        """The one interval that does what this and then ``outer`` do; neither may be empty."""
        return Interval(outer.clamp(self.low), outer.clamp(self.high))

    def clamp(self, number: float) -> float:
        """The number of the interval nearest to ``number``."""
        return min(max(number, self.low), self.high)


def interval_of(node: ir.Node | None) -> Interval | None:
    """What a Relu or Clip clips to; None for other operators and for bounds that are no constants.

    A bound at or beyond the largest float32 is none.
    """
    if node is None or node.op_type not in ("Relu", "Clip"):
        return None
    if node.op_type == "Relu":
        return Interval(0.0, np.inf)
    bounds = [-np.inf, np.inf]
    for index, value in enumerate(node.inputs[1:3]):
        if value is None:
            continue
        bound = constant(value)
        if bound is None:
            return None
        bounds[index] = float(bound.reshape(()))
    low, high = bounds
    interval = Interval(low if low > -_LARGEST else -np.inf, high if high < _LARGEST else np.inf)
    return interval if interval.low <= interval.high else None


def rewrite_as_clip(editor: Editor, node: ir.Node, source: ir.Value, interval: Interval) -> ir.Value:
    """Put Relu or Clip of ``source`` in the place of ``node``; both bounds of the Clip are initializers."""
    if interval == Interval(0.0, np.inf):
        return editor.rewrite(node, "Relu", [source])
    low = max(interval.low, -_LARGEST)
    high = min(interval.high, _LARGEST)
    bounds = [
        editor.constant(np.array(low, np.float32), f"{node.name}/min"),
        editor.constant(np.array(high, np.float32), f"{node.name}/max"),
    ]
    return editor.rewrite(node, "Clip", [source, *bounds])
