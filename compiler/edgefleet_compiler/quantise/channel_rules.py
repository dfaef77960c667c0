"""What operators between layers do to channels: which are positively homogeneous, and what they bring together.

Each rule gives the channels of the node's outputs, or None where scaling the channels of an input would not scale those
of the output alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.clip import interval_of
from edgefleet_compiler.hub.graph import (
    constant,
    input_integers,
    integer,
    integers,
    rank_of,
    shape_of,
    text,
)

FIXED = 0
"""The class of all channels that stay as they are."""

Classes = NDArray[np.intp]


@dataclass(frozen=True)
class Channels:
    """The channels of a value.

    Attributes:
        axis: Along which they lie.
        classes: Of each place on that axis.
    """

    axis: int
    classes: Classes


class Known:
    """The channels of values so far, in classes (union-find).

    Attributes:
        values: Those that have channels.
    """

    def __init__(self) -> None:
        self.values: dict[ir.Value, Channels] = {}
        self._parent = [FIXED]

    @property
    def count(self) -> int:
        """Of all classes."""
        return len(self._parent)

    def fix(self, value: ir.Value | None) -> None:
        """Keep all channels of a value as they are."""
        for number in self.classes_of(value) if value is not None and value in self.values else ():
            self._join(int(number), FIXED)

    def classes_of(self, value: ir.Value) -> Classes:
        """The classes of a value that has channels."""
        return self.values[value].classes

    def channels_of(self, value: ir.Value | None) -> Channels | None:
        """The channels of a value; None where they are not known."""
        return None if value is None else self.values.get(value)

    def union(self, first: Classes, second: Classes) -> None:
        """Make one class of each two."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            self._join(one, other)

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low  # the lowest is the root, so that FIXED always is

    def root(self, number: int) -> int:
        """The one number that stands for all of a class."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    def fresh(self, count: int) -> Classes:
        """So many new classes."""
        start = len(self._parent)
        self._parent += range(start, start + count)
        return np.arange(start, start + count)


def given(node: ir.Node, index: int) -> ir.Value:
    """An input that is not left out."""
    value = node.inputs[index]
    assert value is not None
    return value


Rule = Callable[[Known, ir.Node], list[Channels] | None]


def _kept(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known = known_channels.channels_of(node.inputs[0])
    return None if known is None else [known]


def _pooled(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known = _kept(known_channels, node)
    return known if known is not None and known[0].axis == 1 and len(node.outputs) == 1 else None


def _clip(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    interval = interval_of(node)
    homogeneous = interval is not None and all(
        bound in (0.0, np.inf, -np.inf) for bound in (interval.low, interval.high)
    )
    return _kept(known_channels, node) if homogeneous else None


def _pad(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known, pads = known_channels.channels_of(node.inputs[0]), input_integers(node, 1)
    filling = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if known is None or pads is None or len(node.inputs) > 3 or pads[known.axis] or pads[known.axis + len(pads) // 2]:
        return None
    if text(node, "mode", "constant") == "constant" and filling is not None and np.any(filling):
        return None
    return [known]


def _resized(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known = known_channels.channels_of(node.inputs[0])
    if known is None or text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return None
    same_extent = shape_of(given(node, 0))[known.axis] == shape_of(node.outputs[0])[known.axis]
    return [known] if same_extent else None


def _reduced(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known, axes = known_channels.channels_of(node.inputs[0]), input_integers(node, 1)
    if known is None or axes is None:
        return None
    reduced = {axis % rank_of(given(node, 0)) for axis in axes}
    if known.axis in reduced:
        return None
    before = 0 if integer(node, "keepdims", 1) else sum(axis < known.axis for axis in reduced)
    return [Channels(known.axis - before, known.classes)]


def _transposed(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known = known_channels.channels_of(node.inputs[0])
    permutation = integers(node, "perm")
    if known is None or permutation is None:
        return None
    return [Channels(permutation.index(known.axis), known.classes)]


def _reshaped(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known = known_channels.channels_of(node.inputs[0])
    if known is None:
        return None
    before, after = shape_of(given(node, 0)), shape_of(node.outputs[0])
    along = [-1 if axis == known.axis else 1 for axis in range(len(before))]
    every = np.broadcast_to(known.classes.reshape(along), before).reshape(after)
    for axis in range(len(after)):
        line = np.moveaxis(every, axis, -1).reshape(-1, after[axis])
        if (line == line[0]).all():
            return [Channels(axis, line[0].copy())]
    return None


def _joined(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    """An elementwise operator that is homogeneous in all operands at once."""
    known = [known_channels.channels_of(value) for value in node.inputs]
    shape, first = shape_of(node.outputs[0]), known[0]
    if first is None or any(value is None or shape_of(value) != shape for value in node.inputs):
        return None
    if any(other is None or other.axis != first.axis for other in known):
        return None
    for other in known[1:]:
        assert other is not None
        known_channels.union(first.classes, other.classes)
    return [first]


def _multiplied(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    """A product is homogeneous in one factor; the other, say a gate, must not be scaled."""
    shape = shape_of(node.outputs[0])
    scaled = [value for value in node.inputs if known_channels.channels_of(value) is not None]
    if len(scaled) != 1 or scaled[0] is None or shape_of(scaled[0]) != shape:
        return None
    known = known_channels.channels_of(scaled[0])
    return None if known is None or node.inputs[0] is node.inputs[1] else [known]


def _divided(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    return _multiplied(known_channels, node) if known_channels.channels_of(node.inputs[1]) is None else None


def _concatenated(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known = [known_channels.channels_of(value) for value in node.inputs]
    axes = {channels.axis for channels in known if channels is not None}
    axis = integer(node, "axis", 0) % rank_of(node.outputs[0])
    if axes != {axis}:
        return None
    parts = [
        np.full(shape_of(given(node, index))[axis], FIXED) if channels is None else channels.classes
        for index, channels in enumerate(known)
    ]
    return [Channels(axis, np.concatenate(parts))]


def _split(known_channels: Known, node: ir.Node) -> list[Channels] | None:
    known = known_channels.channels_of(node.inputs[0])
    if known is None:
        return None
    if integer(node, "axis", 0) % rank_of(given(node, 0)) != known.axis:
        return [known for _ in node.outputs]
    return list(_cut(known, node.outputs))


def _cut(known: Channels, outputs: Sequence[ir.Value]) -> Iterator[Channels]:
    start = 0
    for value in outputs:
        extent = shape_of(value)[known.axis]
        yield Channels(known.axis, known.classes[start : start + extent])
        start += extent


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Abs", "Identity", "LeakyRelu", "Neg", "Relu"), _kept),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"), _pooled),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshaped),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _reduced),
    **dict.fromkeys(("Add", "Max", "Min", "Sub"), _joined),
    "Clip": _clip,
    "Concat": _concatenated,
    "Div": _divided,
    "Mul": _multiplied,
    "PRelu": _kept,
    "Pad": _pad,
    "Resize": _resized,
    "Split": _split,
    "Transpose": _transposed,
}
