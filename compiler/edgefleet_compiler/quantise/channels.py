"""Which channels of which values must be scaled together, so that what a model computes stays the same.

Layers are positively homogeneous where nothing but these stands between them: f(s x) = s f(x) for s > 0 (Nagel et al.
2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1). A channel that a weighted
layer writes may then be divided by any s > 0, if all that reads it multiplies its weights by s. Channels that meet in
an Add are one, and so are those of a value however it is reshaped: *classes*, by union-find over single channels, so
that Concat, Split and Flatten need no cases of their own. What anything else reads, or leaves the graph, stays fixed.
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
    is_float,
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


@dataclass(frozen=True)
class Weighted:
    """A layer with constant weights.

    Attributes:
        node: Conv, Gemm or MatMul.
        reads: Class of the input channel that each weight belongs to; of the shape of ``matrix_of``, but one column for
            all weights of a channel: (outputs, inputs of a group).
        writes: Class of each output channel, shape (outputs,).
    """

    node: ir.Node
    reads: Classes
    writes: Classes


@dataclass(frozen=True)
class Tracked:
    """The result; classes are numbers below ``count``.

    Attributes:
        values: Channels of each value that has them, in the order of the graph.
        layers: In the order of the graph.
        count: Of the classes, ``FIXED`` and empty ones among them.
    """

    values: dict[ir.Value, Channels]
    layers: list[Weighted]
    count: int


def matrix_of(node: ir.Node, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights as (outputs, inputs of a group, kernel)."""
    if node.op_type == "Conv":
        return weights.reshape(*weights.shape[:2], -1)
    return (weights if _has_rows_of_outputs(node) else weights.T)[:, :, np.newaxis]


def _has_rows_of_outputs(node: ir.Node) -> bool:
    return node.op_type == "Gemm" and integer(node, "transB", 0) == 1


def scale_weights(node: ir.Node, weights: NDArray[np.float32], factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights multiplied by factors of shape (outputs, inputs of a group)."""
    if node.op_type == "Conv":
        factors = factors.reshape(*factors.shape, *(1,) * (weights.ndim - 2))
    scaled: NDArray[np.float32] = weights * (
        factors if node.op_type == "Conv" or _has_rows_of_outputs(node) else factors.T
    )
    return scaled


def track(graph: ir.Graph) -> Tracked:
    """Find the classes of a float graph in hub normal form."""
    tracker = _Tracker()
    for node in graph:
        tracker.visit(node)
    for value in graph.outputs:
        tracker.fix(value)
    return tracker.result()


class _Tracker:
    def __init__(self) -> None:
        self._parent = [FIXED]
        self._values: dict[ir.Value, Channels] = {}
        self._layers: list[Weighted] = []

    def visit(self, node: ir.Node) -> None:
        """Note what the node does to channels; what is not understood fixes all that it reads."""
        if not node.domain and self._is_weighted(node):
            self._add_layer(node)
            return
        rule = None if node.domain else _RULES.get(node.op_type)
        found = None if rule is None else rule(self, node)
        if found is None:
            for value in node.inputs:
                self.fix(value)
            return
        for value, channels in zip(node.outputs, found, strict=True):
            self._values[value] = channels

    def fix(self, value: ir.Value | None) -> None:
        """Keep all channels of a value as they are."""
        for number in self.classes_of(value) if value is not None and value in self._values else ():
            self._join(int(number), FIXED)

    def result(self) -> Tracked:
        roots = np.array([self._root(number) for number in range(len(self._parent))], np.intp)
        values = {value: Channels(known.axis, roots[known.classes]) for value, known in self._values.items()}
        layers = [Weighted(layer.node, roots[layer.reads], roots[layer.writes]) for layer in self._layers]
        return Tracked(values, layers, len(roots))

    # --- classes -----------------------------------------------------------------------------------------------------

    def classes_of(self, value: ir.Value) -> Classes:
        return self._values[value].classes

    def channels_of(self, value: ir.Value | None) -> Channels | None:
        return None if value is None else self._values.get(value)

    def union(self, first: Classes, second: Classes) -> None:
        """Make one class of each two."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            self._join(one, other)

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low  # the lowest is the root, so that FIXED always is

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    def _fresh(self, count: int) -> Classes:
        start = len(self._parent)
        self._parent += range(start, start + count)
        return np.arange(start, start + count)

    # --- layers ------------------------------------------------------------------------------------------------------

    def _is_weighted(self, node: ir.Node) -> bool:
        if node.op_type == "Gemm" and (integer(node, "transA", 0) or rank_of(node.outputs[0]) != 2):
            return False
        if node.op_type not in ("Conv", "Gemm", "MatMul") or not is_float(node.outputs[0]):
            return False
        operands = [constant(value) for value in node.inputs[1:] if value is not None]
        return all(array is not None for array in operands) and (
            node.op_type == "Conv" or rank_of(_given(node, 1)) == 2
        )

    def _add_layer(self, node: ir.Node) -> None:
        weights = constant(node.inputs[1])
        assert weights is not None
        outputs, inputs = matrix_of(node, weights).shape[:2]
        groups = integer(node, "group", 1) if node.op_type == "Conv" else 1
        source = _given(node, 0)
        axis = 1 if node.op_type == "Conv" else rank_of(source) - 1
        known = self.channels_of(source)
        if known is not None and known.axis != axis:
            self.fix(source)
            known = None
        read = np.full(inputs * groups, FIXED) if known is None else known.classes
        writes = self._fresh(outputs)
        self._values[node.outputs[0]] = Channels(axis, writes)
        self._layers.append(Weighted(node, read.reshape(groups, inputs).repeat(outputs // groups, axis=0), writes))


def _given(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    assert value is not None
    return value


# --- operators between layers ----------------------------------------------------------------------------------------
# Each rule gives the channels of the node's outputs, or None where the node is not positively homogeneous.

_Rule = Callable[[_Tracker, ir.Node], "list[Channels] | None"]


def _kept(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known = tracker.channels_of(node.inputs[0])
    return None if known is None else [known]


def _pooled(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known = _kept(tracker, node)
    return known if known is not None and known[0].axis == 1 and len(node.outputs) == 1 else None


def _clip(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    interval = interval_of(node)
    homogeneous = interval is not None and all(
        bound in (0.0, np.inf, -np.inf) for bound in (interval.low, interval.high)
    )
    return _kept(tracker, node) if homogeneous else None


def _pad(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known, pads = tracker.channels_of(node.inputs[0]), input_integers(node, 1)
    filling = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if known is None or pads is None or len(node.inputs) > 3 or pads[known.axis] or pads[known.axis + len(pads) // 2]:
        return None
    if text(node, "mode", "constant") == "constant" and filling is not None and np.any(filling):
        return None
    return [known]


def _resized(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known = tracker.channels_of(node.inputs[0])
    if known is None or text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return None
    same_extent = shape_of(_given(node, 0))[known.axis] == shape_of(node.outputs[0])[known.axis]
    return [known] if same_extent else None


def _reduced(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known, axes = tracker.channels_of(node.inputs[0]), input_integers(node, 1)
    if known is None or axes is None:
        return None
    reduced = {axis % rank_of(_given(node, 0)) for axis in axes}
    if known.axis in reduced:
        return None
    before = 0 if integer(node, "keepdims", 1) else sum(axis < known.axis for axis in reduced)
    return [Channels(known.axis - before, known.classes)]


def _transposed(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known = tracker.channels_of(node.inputs[0])
    permutation = integers(node, "perm")
    if known is None or permutation is None:
        return None
    return [Channels(permutation.index(known.axis), known.classes)]


def _reshaped(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known = tracker.channels_of(node.inputs[0])
    if known is None:
        return None
    before, after = shape_of(_given(node, 0)), shape_of(node.outputs[0])
    along = [-1 if axis == known.axis else 1 for axis in range(len(before))]
    every = np.broadcast_to(known.classes.reshape(along), before).reshape(after)
    for axis in range(len(after)):
        line = np.moveaxis(every, axis, -1).reshape(-1, after[axis])
        if (line == line[0]).all():
            return [Channels(axis, line[0].copy())]
    return None


def _joined(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    """An elementwise operator that is homogeneous in all operands at once."""
    known = [tracker.channels_of(value) for value in node.inputs]
    shape, first = shape_of(node.outputs[0]), known[0]
    if first is None or any(value is None or shape_of(value) != shape for value in node.inputs):
        return None
    if any(other is None or other.axis != first.axis for other in known):
        return None
    for other in known[1:]:
        assert other is not None
        tracker.union(first.classes, other.classes)
    return [first]


def _multiplied(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    """A product is homogeneous in one factor; the other, say a gate, must not be scaled."""
    shape = shape_of(node.outputs[0])
    scaled = [value for value in node.inputs if tracker.channels_of(value) is not None]
    if len(scaled) != 1 or scaled[0] is None or shape_of(scaled[0]) != shape:
        return None
    known = tracker.channels_of(scaled[0])
    return None if known is None or node.inputs[0] is node.inputs[1] else [known]


def _divided(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    return _multiplied(tracker, node) if tracker.channels_of(node.inputs[1]) is None else None


def _concatenated(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known = [tracker.channels_of(value) for value in node.inputs]
    axes = {channels.axis for channels in known if channels is not None}
    axis = integer(node, "axis", 0) % rank_of(node.outputs[0])
    if axes != {axis}:
        return None
    parts = [
        np.full(shape_of(_given(node, index))[axis], FIXED) if channels is None else channels.classes
        for index, channels in enumerate(known)
    ]
    return [Channels(axis, np.concatenate(parts))]


def _split(tracker: _Tracker, node: ir.Node) -> list[Channels] | None:
    known = tracker.channels_of(node.inputs[0])
    if known is None:
        return None
    if integer(node, "axis", 0) % rank_of(_given(node, 0)) != known.axis:
        return [known for _ in node.outputs]
    return list(_cut(known, node.outputs))


def _cut(known: Channels, outputs: Sequence[ir.Value]) -> Iterator[Channels]:
    start = 0
    for value in outputs:
        extent = shape_of(value)[known.axis]
        yield Channels(known.axis, known.classes[start : start + extent])
        start += extent


_RULES: dict[str, _Rule] = {
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
