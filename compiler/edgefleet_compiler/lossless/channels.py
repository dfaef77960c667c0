"""How channels hang together: which operators pass them on one by one, and which take each for itself.

A channel is an index of a tensor's last axis. Operators of three sorts meet it: those with weights mix channels, so
that their output's are free of their input's; those that work channel by channel bind both, since neither can go
alone; all others are read as a whole, and so none of theirs can go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lossless.weighted import Weighted, weighted_of
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator

Indices = NDArray[np.int64]

_INT8: Final = np.dtype(np.int8)
_UNARY: Final = frozenset({
    "AVERAGE_POOL_2D", "DEQUANTIZE", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "RELU", "RELU6",
    "RESIZE_NEAREST_NEIGHBOR", "TANH",
})  # fmt: skip
BINARY: Final = frozenset({"ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB"})
"""Operators on two operands, of which one may be a constant with a value for each channel."""


@dataclass(frozen=True)
class Tie:
    """Channels of an operand and the channels of the output that are made of them, pair by pair.

    Attributes:
        name: The operand.
        before: Its channels.
        after: The output's.
    """

    name: str
    before: Indices
    after: Indices


@dataclass(frozen=True)
class Structure:
    """What each operator does to channels, in execution order.

    Attributes:
        weighted: The operators with weights, by position; depthwise ones have ties, too.
        ties: Of each operator that works channel by channel, by position.
        whole: The tensors of which every channel stays: inputs, outputs, and what other operators read or write.
    """

    weighted: dict[int, Weighted]
    ties: dict[int, list[Tie]]
    whole: set[str]


def structure_of(graph: LoweredGraph) -> Structure:
    """Sort a graph's operators by what they do to channels."""
    weighted: dict[int, Weighted] = {}
    ties: dict[int, list[Tie]] = {}
    whole = {*graph.inputs, *graph.outputs}
    for position, operator in enumerate(graph.operators):
        layer = weighted_of(graph, operator)
        if layer is not None:
            weighted[position] = layer
        found = _ties(graph, operator, layer)
        if found is not None:
            ties[position] = found
        elif layer is None:
            whole.update(_activations(graph, operator), operator.outputs)
    return Structure(weighted, ties, whole)


def channels(graph: LoweredGraph, name: str) -> int:
    """How many channels a tensor has; a scalar has one."""
    shape = graph.tensors[name].shape
    return shape[-1] if shape else 1


def _activations(graph: LoweredGraph, operator: Operator) -> Iterator[str]:
    return (name for name in operator.inputs if name is not None and not graph.tensors[name].is_constant)


def _ties(graph: LoweredGraph, operator: Operator, layer: Weighted | None) -> list[Tie] | None:
    """The ties of an operator that works channel by channel on int8; None for others."""
    if layer is not None:
        return _depthwise(graph, layer) if layer.depthwise else None
    rule = _RULES.get(operator.kind)
    in_int8 = len(operator.outputs) == 1 and graph.tensors[str(operator.inputs[0])].dtype == _INT8
    return rule(graph, operator) if rule is not None and in_int8 else None


def _unary(graph: LoweredGraph, operator: Operator) -> list[Tie] | None:
    return _same(graph, [str(operator.inputs[0])], operator.outputs[0])


def _binary(graph: LoweredGraph, operator: Operator) -> list[Tie] | None:
    return _same(graph, list(_activations(graph, operator)), operator.outputs[0])


def _padded(graph: LoweredGraph, operator: Operator) -> list[Tie] | None:
    amounts = graph.tensors[str(operator.inputs[1])].data
    return None if amounts is None or amounts.reshape(-1, 2)[-1].any() else _unary(graph, operator)


def _mean(graph: LoweredGraph, operator: Operator) -> list[Tie] | None:
    axes, rank = graph.tensors[str(operator.inputs[1])].data, len(graph.tensors[str(operator.inputs[0])].shape)
    if axes is None or (rank - 1) in np.mod(axes.astype(np.int64), rank):
        return None
    return _unary(graph, operator)


def _same(graph: LoweredGraph, names: list[str], output: str) -> list[Tie] | None:
    """Channel for channel; None where one operand is spread over the channels of another."""
    count = channels(graph, output)
    if any(channels(graph, name) != count for name in names):
        return None
    return [Tie(name, np.arange(count), np.arange(count)) for name in dict.fromkeys(names)]


def _depthwise(graph: LoweredGraph, layer: Weighted) -> list[Tie]:
    after = np.arange(channels(graph, layer.output))
    return [Tie(layer.source, after // layer.multiplier, after)]


def _reshaped(graph: LoweredGraph, operator: Operator) -> list[Tie] | None:
    """An image as a vector, or a vector as an image: the elements of one channel stay that channel's."""
    source, output = str(operator.inputs[0]), operator.outputs[0]
    one, other = channels(graph, source), channels(graph, output)
    if prod(graph.tensors[source].shape) != prod(graph.tensors[output].shape) or max(one, other) % min(one, other):
        return None
    longer = np.arange(max(one, other))
    return [Tie(source, longer % one, longer % other)]


def _joined(graph: LoweredGraph, operator: Operator) -> list[Tie] | None:
    rank = len(graph.tensors[operator.outputs[0]].shape)
    names = [str(name) for name in operator.inputs]
    if operator.integer("axis") % rank != rank - 1 or any(graph.tensors[name].is_constant for name in names):
        return None
    ties, start = [], 0
    for name in names:
        before = np.arange(channels(graph, name))
        ties.append(Tie(name, before, before + start))
        start += len(before)
    return ties


_Rule = Callable[[LoweredGraph, Operator], list[Tie] | None]
_RULES: Final[dict[str, _Rule]] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    "CONCATENATION": _joined,
    "MEAN": _mean,
    "PAD": _padded,
    "PADV2": _padded,
    "RESHAPE": _reshaped,
}
