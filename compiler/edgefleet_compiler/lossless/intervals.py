"""Intervals: what each channel of each int8 activation can hold at most, read forwards from the inputs.

The bounds of a sum are exact for the bounds of its terms, with padding where there is padding, and requantisation
never decreases: so the bounds hold in every dialect, being the hull of what each makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.emulate.rounding import (
    Dialect,
    Multiplier,
    Rounding,
    convolution_multipliers,
    fully_connected_multiplier,
    quantise_multiplier,
    rounded_product,
    rounding_of,
)
from edgefleet_compiler.lossless.channels import Structure, channels
from edgefleet_compiler.lossless.clamps import clamp_of
from edgefleet_compiler.lossless.interval import NEAR, Interval
from edgefleet_compiler.lossless.monotone import KINDS, at_the_ends
from edgefleet_compiler.lossless.weighted import Integers, Weighted, Weights
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Quantisation, same_parameters

DIALECTS: Final = tuple(Dialect)
"""The dialects in which lossless pruning is proved."""

_LEAST, _LARGEST = -128, 127
_LIMIT: Final = 1 << 31
_INT8: Final = np.dtype(np.int8)
_WITHIN: Final = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR"})


Intervals = dict[str, Interval]


def intervals_of(graph: LoweredGraph, structure: Structure) -> Intervals:
    """The intervals of every int8 activation.

    Args:
        graph: Quantised.
        structure: Of ``graph``.

    Returns:
        By tensor; an operator without a rule here may give anything.
    """
    found = {name: _anything(graph, name) for name in graph.inputs if graph.tensors[name].dtype == _INT8}
    for position, operator in enumerate(graph.operators):
        layer = structure.weighted.get(position)
        for name in operator.outputs:
            if graph.tensors[name].dtype != _INT8:
                continue
            known = _of_sums(graph, layer, found[layer.source]) if layer is not None else _of(graph, operator, found)
            found[name] = (known or _anything(graph, name)).clipped(*clamp_of(operator, graph.tensors[name]))
    return found


def _anything(graph: LoweredGraph, name: str) -> Interval:
    count = channels(graph, name)
    return Interval(np.full(count, _LEAST, np.int64), np.full(count, _LARGEST, np.int64))


def _of(graph: LoweredGraph, operator: Operator, found: Mapping[str, Interval]) -> Interval | None:
    """By the rule of an operator without weights; None where there is none."""
    rule = _RULES.get(operator.kind)
    known = all(name in found for name in operator.inputs[:1])
    return rule(graph, operator, found) if rule is not None and known else None


def _of_sums(graph: LoweredGraph, layer: Weighted, source: Interval) -> Interval | None:
    """What a layer with weights gives: its sums' bounds, requantised; None where a sum may overflow."""
    low, high = sums(graph, layer, source)
    roundings = _roundings(layer.operator.kind)
    multipliers = {rounding: quantise_multiplier(_multipliers(graph, layer, rounding)) for rounding in roundings}
    left = np.max([np.maximum(multiplier.shift, 0) for multiplier in multipliers.values()], axis=0)
    largest = np.maximum(np.abs(low), np.abs(high)) << left
    if largest.max(initial=0) >= _LIMIT:
        return None
    zero_point = int(_parameters(graph, layer.output).zero_point[0])
    least, most = (_requantised(bound, multipliers) + zero_point for bound in (low, high))
    return Interval(least.min(axis=0), most.max(axis=0))


def _requantised(bound: Integers, multipliers: Mapping[Rounding, Multiplier]) -> Integers:
    """A bound in every rounding, shape (roundings, outputs).

    XNNPACK, which multiplies in float32, is among them by what lies so near: it is no dialect that is claimed, but
    what LiteRT runs by default.
    """
    real = bound * next(iter(multipliers.values())).real
    near = np.rint([real - NEAR, real + NEAR]).astype(np.int64)
    exact = [rounded_product(bound, multiplier, rounding) for rounding, multiplier in multipliers.items()]
    return np.concatenate([near, exact])


def sums(graph: LoweredGraph, layer: Weighted, source: Interval) -> tuple[Integers, Integers]:
    """The least and the largest sum of each output, bias included; shape (outputs,).

    Args:
        graph: Of the layer.
        layer: With weights.
        source: What it reads.
    """
    zero_point = int(_parameters(graph, layer.source).zero_point[0])
    low, high = source.low - zero_point, source.high - zero_point
    positive: Weights = np.maximum(layer.weights, 0)
    negative: Weights = np.minimum(layer.weights, 0)
    if layer.depthwise:
        read = np.arange(len(layer.weights)) // layer.multiplier
        low, high = low[read, None, None, None], high[read, None, None, None]
        least, most = (positive * low + negative * high)[..., 0], (positive * high + negative * low)[..., 0]
    else:
        least, most = positive @ low + negative @ high, positive @ high + negative @ low
    return (
        layer.over_places(least).min(axis=1) + layer.bias,
        layer.over_places(most).max(axis=1) + layer.bias,
    )


def _multipliers(graph: LoweredGraph, layer: Weighted, rounding: Rounding) -> NDArray[np.float64]:
    weights = _parameters(graph, str(layer.operator.inputs[1]))
    one, other = _parameters(graph, layer.source).scale, _parameters(graph, layer.output).scale
    in_float32 = layer.operator.kind == "FULLY_CONNECTED" and not weights.per_channel
    if in_float32 and rounding is not Rounding.IN_FLOAT64:
        return fully_connected_multiplier(one, weights.scale, other)
    return convolution_multipliers(one, weights.scale, other)


def _roundings(kind: str) -> list[Rounding]:
    """How the kernels of all dialects round; LiteRT's of depthwise convolutions in two ways (``kernels``)."""
    rest = [Rounding.TWICE_AWAY] if kind == "DEPTHWISE_CONV_2D" else []
    return list(dict.fromkeys([*(rounding_of(dialect, kind) for dialect in DIALECTS), *rest]))


def _parameters(graph: LoweredGraph, name: str) -> Quantisation:
    quantisation = graph.tensors[name].quantisation
    assert quantisation is not None
    return quantisation


def _within(graph: LoweredGraph, operator: Operator, found: Mapping[str, Interval]) -> Interval | None:
    """Of an operator whose results lie between the least and the largest of what it reads."""
    name, output = str(operator.inputs[0]), operator.outputs[0]
    if not same_parameters(graph.tensors[name].quantisation, graph.tensors[output].quantisation):
        return None
    count, source = channels(graph, output), found[name]
    if count >= len(source.low):
        return Interval(np.resize(source.low, count), np.resize(source.high, count))
    return Interval(source.low.reshape(-1, count).min(axis=0), source.high.reshape(-1, count).max(axis=0))


def _padded(graph: LoweredGraph, operator: Operator, found: Mapping[str, Interval]) -> Interval | None:
    inner = _within(graph, operator, found)
    if operator.kind == "PAD":
        value = int(_parameters(graph, operator.outputs[0]).zero_point[0])
    else:
        data = graph.tensors[str(operator.inputs[2])].data
        value = int(data.item()) if data is not None else 0
        inner = inner if data is not None else None
    if inner is None or channels(graph, str(operator.inputs[0])) != len(inner.low):
        return None
    return Interval(np.minimum(inner.low, value), np.maximum(inner.high, value))


def _joined(graph: LoweredGraph, operator: Operator, found: Mapping[str, Interval]) -> Interval | None:
    names, output = [str(name) for name in operator.inputs], operator.outputs[0]
    wanted = graph.tensors[output].quantisation
    alike = all(name in found and same_parameters(graph.tensors[name].quantisation, wanted) for name in names)
    if not alike or operator.integer("axis") % len(graph.tensors[output].shape) != len(graph.tensors[output].shape) - 1:
        return None
    return Interval(
        np.concatenate([found[name].low for name in names]), np.concatenate([found[name].high for name in names])
    )


_Rule = Callable[[LoweredGraph, Operator, Mapping[str, Interval]], Interval | None]
_RULES: Final[dict[str, _Rule]] = {
    **dict.fromkeys(KINDS, at_the_ends),
    **dict.fromkeys(_WITHIN, _within),
    "CONCATENATION": _joined,
    "PAD": _padded,
    "PADV2": _padded,
}
