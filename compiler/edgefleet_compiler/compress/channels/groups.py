"""Channel groups: sets of channels of which any may go, each with all that is coupled to it.

A layer writes channels; those that meet in an Add, pass through a depthwise convolution or become a block of a
flattened vector are the same channels, and go together: a *class* (union-find over single channels, as for
equalisation, see ``quantise/channels``). Layers whose channels meet anywhere have one *group* of classes. It is named
after the first of these layers, in the order of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.compress.channels.known import Coupled, named
from edgefleet_compiler.compress.channels.rules import RULES
from edgefleet_compiler.hub.graph import constant, integer, is_float, rank_of, shape_of
from edgefleet_compiler.quantise.channel_rules import FIXED, Channels, Classes, given

_CONVOLUTIONS = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class Weighted:
    """A layer with constant weights.

    Attributes:
        node: Conv, ConvTranspose, Gemm or MatMul.
        parts: Groups of the convolution; 1 of others.
        reads: Class of each input channel, shape (inputs,).
        writes: Class of each output channel, shape (outputs,).
    """

    node: ir.Node
    parts: int
    reads: Classes
    writes: Classes

    def columns(self, inputs: int) -> Classes:
        """Class of each input that its matrix multiplies: several of each channel where it has a kernel.

        Args:
            inputs: Of a matrix.
        """
        return np.repeat(self.reads, inputs * self.parts // len(self.reads))


@dataclass(frozen=True)
class Group:
    """Channels of which any may go.

    Attributes:
        name: Of the first layer that writes them.
        classes: Of its channels, each once, in the order in which that layer has them. Channels that can only go
            together count as one.
        free: Which of these may go, shape (channels,).
        reason: Why none may go, or why the others may not; empty where all may.
        readers: Layers that add the channels up, with weights of their own for each.
    """

    name: str
    classes: Classes
    free: np.ndarray[tuple[int], np.dtype[np.bool_]]
    reason: str
    readers: tuple[Weighted, ...]

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self.classes)

    @property
    def least(self) -> int:
        """How many stay at least."""
        return max(1, int(np.count_nonzero(~self.free)))


@dataclass(frozen=True)
class Grouping:
    """The channels of a graph.

    Attributes:
        values: Of each value that has channels, in the order of the graph.
        layers: In the order of the graph.
        groups: In the order of their first layers.
    """

    values: dict[ir.Value, Channels]
    layers: tuple[Weighted, ...]
    groups: tuple[Group, ...]

    def group(self, name: str) -> Group | None:
        """The group of a name, if there is one."""
        return next((group for group in self.groups if group.name == name), None)


def find_groups(graph: ir.Graph) -> Grouping:
    """The channel groups of a float graph in hub normal form."""
    walk = _Walk()
    for node in graph:
        walk.visit(node)
    for value in graph.outputs:
        walk.hold(value, f"they leave the model as its output {value.name!r}")
    return walk.grouping()


class _Walk(Coupled):
    def __init__(self) -> None:
        super().__init__()
        self._layers: list[Weighted] = []
        self._first: list[Weighted] = []

    def visit(self, node: ir.Node) -> None:
        """Note what the node does to channels."""
        if not node.domain and _is_weighted(node):
            self._add(node)
            return
        rule = None if node.domain else RULES.get(node.op_type)
        found = rule(self, node) if rule is not None and any(value in self.values for value in node.inputs) else None
        if found is None:
            self.hold_inputs(node, "{} takes them all together" if rule is not None else "{} has no rule for channels")
            return
        self.values.update(zip(node.outputs, found, strict=True))

    def grouping(self) -> Grouping:
        """What was found."""
        roots = np.array([self.root(number) for number in range(self.count)], np.intp)
        values = {value: Channels(known.axis, roots[known.classes]) for value, known in self.values.items()}
        rooted = {
            id(each): Weighted(each.node, each.parts, roots[each.reads], roots[each.writes]) for each in self._layers
        }
        layers = tuple(rooted[id(each)] for each in self._layers)
        writers = [rooted[id(each)] for each in self._first]
        return Grouping(values, layers, tuple(self._groups(layers, writers)))

    def _groups(self, layers: tuple[Weighted, ...], writers: list[Weighted]) -> list[Group]:
        """Layers that share a class have one group."""
        spaces = Coupled()
        place = dict[int, int]()
        for layer, number in zip(writers, spaces.fresh(len(writers)).tolist(), strict=True):
            for root in np.unique(layer.writes[layer.writes != FIXED]).tolist():
                spaces.union(np.array([place.setdefault(root, number)]), np.array([number]))
        gathered = dict[int, list[Weighted]]()
        for layer, number in zip(writers, range(1, len(writers) + 1), strict=True):
            gathered.setdefault(spaces.root(number), []).append(layer)
        reasons = self.reasons()
        return [_group(found, layers, reasons) for found in gathered.values()]

    def _add(self, node: ir.Node) -> None:
        weights = constant(node.inputs[1])
        assert weights is not None
        source = given(node, 0)
        parts = integer(node, "group", 1) if node.op_type in _CONVOLUTIONS else 1
        axis = 1 if node.op_type in _CONVOLUTIONS else rank_of(source) - 1
        known = self.channels_of(source)
        if known is not None and known.axis != axis:
            self.hold(source, f"{named(node)} reads them along another axis")
            known = None
        inputs, outputs = shape_of(source)[axis], shape_of(node.outputs[0])[axis]
        reads = np.full(inputs, FIXED) if known is None else known.classes
        if parts == 1:
            writes = self.fresh(outputs)
        else:  # what a part reads and what it writes go together
            for block in reads.reshape(parts, -1):
                self.union_within(block)
            writes = reads.reshape(parts, -1)[:, 0].repeat(outputs // parts)
        layer = Weighted(node, parts, reads, writes)
        self._layers.append(layer)
        if parts == 1:
            self._first.append(layer)
        self.values[node.outputs[0]] = Channels(axis, writes)


def _is_weighted(node: ir.Node) -> bool:
    if node.op_type not in (*_CONVOLUTIONS, "Gemm", "MatMul") or not is_float(node.outputs[0]):
        return False
    if node.op_type == "Gemm" and integer(node, "transA", 0):
        return False
    if any(value is not None and constant(value) is None for value in node.inputs[1:]):
        return False
    return node.op_type in _CONVOLUTIONS or rank_of(given(node, 1)) == 2


def _group(writers: list[Weighted], layers: tuple[Weighted, ...], reasons: dict[int, str]) -> Group:
    ordered = dict.fromkeys(int(number) for layer in writers for number in layer.writes)
    classes = np.array(list(ordered), np.intp)
    free = np.array([number not in reasons for number in ordered])
    reason = next((reasons[number] for number in ordered if number in reasons), "")
    if len(classes) == 1 and not reason:
        reason = "it is a single channel"
    return Group(
        name=writers[0].node.name or "",
        classes=classes,
        free=free,
        reason=reason,
        readers=tuple(layer for layer in layers if layer.parts == 1 and np.isin(layer.reads, classes).any()),
    )
