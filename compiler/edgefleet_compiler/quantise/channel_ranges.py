"""Ranges of single channels of activations over a calibration set, and how far single cases reach.

What int8 makes of a value depends on its whole range; why it makes so little of it shows in its channels and its cases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import activations, name_of, rank_of, shape_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.channels import track
from edgefleet_compiler.quantise.placement import place
from edgefleet_compiler.tensors import Sample

Floats = NDArray[np.float64]


@dataclass
class Reach:
    """How far an activation reaches, channel by channel and case by case.

    Attributes:
        axis: Of the channels.
        low: The smallest value of each channel, at most zero; shape (channels,).
        high: The largest, at least zero; shape (channels,).
        power: The mean square; shape (channels,).
        cases: The largest magnitude in each case, in order.
    """

    axis: int
    low: Floats
    high: Floats
    power: Floats
    cases: list[float] = field(default_factory=list)

    @property
    def spans(self) -> Floats:
        """High minus low of each channel."""
        return self.high - self.low

    @property
    def magnitudes(self) -> Floats:
        """The largest magnitude in each channel."""
        return np.maximum(self.high, -self.low)


Reaches = Mapping[str, Reach]
"""By the name of the value in the float hub."""


def observe_channels(model: ir.Model, samples: Iterable[Sample]) -> dict[str, Reach]:
    """Run a float hub and note the reach of every channel of the activations that int8 has pairs for.

    Args:
        model: In hub normal form; it is not changed.
        samples: One array per input by name.
    """
    copy = model.clone()
    axes = _axes(copy.graph)
    watches = _watch(copy.graph, axes)
    sizes = {name_of(value): _size(value, axes) for value in activations(copy.graph) if name_of(value) in axes}
    session = Session(copy, optimise=False)
    wanted = [output for watch in watches.values() for output in watch]
    found: dict[str, Reach] = {}
    for sample in samples:
        results = session.run(sample, wanted)
        for name, watch in watches.items():
            low, high, squares = (results[output].astype(np.float64).reshape(-1) for output in watch)
            reach = found.setdefault(name, Reach(axes[name], *np.zeros((3, low.size))))
            np.minimum(reach.low, low, out=reach.low)
            np.maximum(reach.high, high, out=reach.high)
            reach.cases.append(float(max(-low.min(), high.max())))
            reach.power += (squares / sizes[name] - reach.power) / len(reach.cases)
    return found


def _size(value: ir.Value, axes: Mapping[str, int]) -> int:
    """Elements of one channel."""
    shape = shape_of(value)
    return math.prod(shape) // shape[axes[name_of(value)]]


def _axes(graph: ir.Graph) -> dict[str, int]:
    """The axis of the channels of each value that is quantised; where no layer says so, that of the layout."""
    tracked = track(graph).values
    values = (value for group in place(graph).groups if group.fixed is None for value in group.values)
    return {
        name_of(value): tracked[value].axis if value in tracked else _usual_axis(shape_of(value))
        for value in values
        if shape_of(value) and min(shape_of(value)) > 0
    }


def _usual_axis(shape: tuple[int, ...]) -> int:
    """Of images and vectors the second, of sequences the last."""
    return min(1, len(shape) - 1) if len(shape) != 3 else 2


def _watch(graph: ir.Graph, axes: Mapping[str, int]) -> dict[str, list[str]]:
    """Let a graph give the least, the largest and the sum of squares of each channel of the named values, in place."""
    editor = Editor(graph)
    by_name = {name_of(value): value for value in activations(graph)}
    watches = {}
    for name, axis in axes.items():
        value = by_name[name]
        others = np.array([other for other in range(rank_of(value)) if other != axis], np.int64)
        operands = [value, editor.constant(others, f"{name}/other_axes")]
        reduced = [
            editor.node(
                operator,
                operands,
                name=f"{name}/{operator}",
                shape=(shape_of(value)[axis],),
                attributes={"keepdims": 0, "noop_with_empty_axes": 1},
                after=value.producer(),
            )
            for operator in ("ReduceMin", "ReduceMax", "ReduceSumSquare")
        ]
        graph.outputs.extend(reduced)
        watches[name] = [name_of(value) for value in reduced]
    return watches
