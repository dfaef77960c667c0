"""Layers: what each costs in bytes, and how true its output still is.

Both hubs are run on the same cases with every inner value as an output; nodes are matched by name, so that a layer's
figure holds all the noise that gathered up to it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import msgspec
import onnx_ir as ir

from edgefleet_compiler.checks.accuracy import LOW_SQNR_DB
from edgefleet_compiler.checks.layer_nodes import givers_of, is_fused, last_of, name_of_node
from edgefleet_compiler.checks.parts import Part, parts_of
from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.hub.graph import byte_size, constant, dtype_of, name_of, result_of
from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.hub.outputs import with_outputs
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lowered.costs import layer_costs
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.quantise.masks import masked_nodes
from edgefleet_compiler.quantise.operators import is_quantisable
from edgefleet_compiler.tensors import Sample

_Key = TypeVar("_Key", bound=Hashable)

_WRAPPERS = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})
LEFT_IN_FLOAT = "left in float: it has no form in these integers"
_FLOAT_BY_CHOICE = "in float, as the recipe asks of it or of all its neighbours"
DROWNED = "drowned: the noise begins here"
DROWNED_BY_WEIGHTS = "drowned: its weights have 4 bits"
_LEAST_DB = 0.0
_BAD_DB = 6.0  # one bit; what is better was made worse by a layer, but not drowned
_LARGEST_STEP_DB = 15.0
_BEST_OF_EIGHT_BITS_DB = 45.0  # inputs in 16 bits are far better than what weights of 8 bits make of them
_MASKED = "left in float: a mask leaves int8 no range"


class Layer(msgspec.Struct, frozen=True):
    """One layer of the artifact, by its name in the source.

    Attributes:
        name: Of the source's node.
        operator: ONNX operator, or TFLite's where a quantised TFLite source stays what it is.
        sqnr_db: Signal to noise ratio of its output against the float hub, the mean over the cases removed; None
            where nothing differs, or nothing varies.
        bytes: Its constants in the artifact.
        cause: Why it is as bad as it is, where that is known.
        macs: Multiply-accumulates of one inference; None where they cannot be counted.
        time_us: Microseconds on this host; None but where the artifact is slower than its float model here.
        float_time_us: The same of the float model.
        drowned_parts: What the scale that it shares with much larger values drowns, by the names of the layers that
            give it: parts of what a Concat joins, or the layer's own output, where that is such a part.
    """

    name: str
    operator: str
    sqnr_db: float | None
    bytes: int
    cause: str | None
    macs: int | None = None
    time_us: float | None = None
    float_time_us: float | None = None
    drowned_parts: tuple[str, ...] = ()


def inspect_layers(float_hub: ir.Model, hub: ir.Model, samples: Iterable[Sample]) -> list[Layer]:
    """The layers of a hub beside the float hub that it came from.

    Args:
        float_hub: The reference.
        hub: The hub that was exported: quantised, with narrow weights, or the reference itself.
        samples: A few cases.
    """
    references = {name_of_node(node): name_of(result_of(last_of(node))) for node in float_hub.graph}
    nodes = [
        node
        for node in hub.graph
        if name_of_node(node) in references and node.op_type != "Transpose" and not is_fused(node)
    ]
    pairs = {name_of_node(node): (references[name_of_node(node)], name_of(_stored(node))) for node in nodes}
    parts = [part for part in parts_of(float_hub.graph) if part.concat in pairs]
    ratios, ratios_of_parts = ({}, {}) if hub is float_hub else _ratios(float_hub, hub, pairs, parts, samples)
    quantised = any(node.op_type == "QuantizeLinear" for node in hub.graph)
    drowned = _drowned(float_hub, ratios)
    drowned_parts = _drowned_parts(ratios_of_parts, ratios, drowned)
    masked = {name_of_node(node) for node in masked_nodes(float_hub.graph)} if quantised else set()
    return [
        Layer(
            name=name_of_node(node),
            operator=node.op_type if last_of(node) is node else f"{node.op_type} + {last_of(node).op_type}",
            sqnr_db=ratios.get(name_of_node(node)),
            bytes=sum(byte_size(value) for value in _constants(node)),
            cause=_cause(node, quantised, drowned | drowned_parts.keys(), masked),
            drowned_parts=tuple(drowned_parts.get(name_of_node(node), ())),
        )
        for node in nodes
    ]


def kept_layers(graph: LoweredGraph) -> list[Layer]:
    """The layers of a quantised source that is left as it is: nothing of them differs.

    Args:
        graph: What was exported; its operators are named after the tensors that they write in the source.
    """
    return [
        Layer(name=cost.name, operator=cost.kind, sqnr_db=None, bytes=cost.constant_bytes, cause=None)
        for cost in layer_costs(graph)
    ]


def _cause(node: ir.Node, quantised: bool, drowned: set[str], masked: set[str]) -> str | None:
    if name_of_node(node) in drowned:
        return DROWNED_BY_WEIGHTS if _has_four_bits(node) else DROWNED
    if name_of_node(node) in masked:
        return _MASKED
    in_float = _stored(node) is result_of(last_of(node)) or _has_real_weights(node)
    if not quantised or not in_float:
        return None
    return _FLOAT_BY_CHOICE if is_quantisable(node) and node.op_type in SIXTEEN_BITS else LEFT_IN_FLOAT


def _has_real_weights(node: ir.Node) -> bool:
    """Whether it computes in float, though what it gives may be stored as integers: LSTM and GRU do."""
    arrays = (constant(value) for value in node.inputs if value is not None)
    return any(array is not None and array.ndim > 1 and array.dtype.kind == "f" for array in arrays)


def _drowned(float_hub: ir.Model, ratios: Mapping[str, float]) -> set[str]:
    """The layers whose own rounding drowns what their inputs still had.

    That is where noise first exceeds the signal, and where a layer is far worse than all that it is computed from, as
    values are that share the scale of much larger ones. The mean over the outputs would hide both.
    """
    drowned = set()
    for node in float_hub.graph:
        ratio = ratios.get(name_of_node(node))
        before = [ratios[name] for name in givers_of(node) if name in ratios]
        if ratio is None:
            continue
        sinks = ratio < _LEAST_DB and all(other >= _LEAST_DB for other in before)
        if sinks or (before and ratio < _BAD_DB and _falls(ratio, min(before))):
            drowned.add(name_of_node(node))
    return drowned


def _drowned_parts(
    ratios_of_parts: Mapping[Part, float], ratios: Mapping[str, float], drowned: set[str]
) -> dict[str, list[str]]:
    """What a shared scale drowns: of each Concat the parts, and of what gives a drowned part itself.

    A part is told from the limit on from which the outputs are: the figure of the whole tells nothing of it.
    """
    found: dict[str, list[str]] = {}
    for part, ratio in ratios_of_parts.items():
        if part.name in drowned:
            found.setdefault(part.name, [part.name])
        elif ratio < LOW_SQNR_DB and _falls(ratio, ratios.get(part.name, _BEST_OF_EIGHT_BITS_DB)):
            found.setdefault(part.concat, []).append(part.name)
    return found


def _falls(ratio: float, before: float) -> bool:
    return ratio < min(before, _BEST_OF_EIGHT_BITS_DB) - _LARGEST_STEP_DB


def _has_four_bits(node: ir.Node) -> bool:
    return any(dtype_of(value) == ir.DataType.INT4 for value in _constants(node))


def _stored(node: ir.Node) -> ir.Value:
    """What a layer's consumers see: its output behind QuantizeLinear and DequantizeLinear, if it has them."""
    output = result_of(last_of(node))
    for quantise in output.consumers():
        if quantise.op_type == "QuantizeLinear":
            for dequantise in quantise.outputs[0].consumers():
                return dequantise.outputs[0]
    return output


def _constants(node: ir.Node) -> list[ir.Value]:
    """The constants that a node owns, through the nodes that dequantise or widen them."""
    found = []
    for value in node.inputs:
        if value is None:
            continue
        if constant(value) is not None:
            found.append(value)
            continue
        producer = value.producer()
        if producer is not None and producer.op_type in _WRAPPERS and constant(producer.inputs[0]) is not None:
            found += [parameter for parameter in producer.inputs if constant(parameter) is not None and parameter]
    return found


def _ratios(
    float_hub: ir.Model, hub: ir.Model, pairs: dict[str, tuple[str, str]], parts: list[Part], samples: Iterable[Sample]
) -> tuple[dict[str, float], dict[Part, float]]:
    """The ratios of layers, and of the parts of what Concats join."""
    reference = Session(with_outputs(float_hub, {first for first, _ in pairs.values()}))
    compiled = Session(with_outputs(hub, {second for _, second in pairs.values()}), optimise=False)
    layers: dict[str, SignalToNoise] = {}
    joined: dict[Part, SignalToNoise] = {}
    for sample in samples:
        expected, seen = reference.run(sample), compiled.run(sample)
        for name, (first, second) in pairs.items():
            layers.setdefault(name, SignalToNoise(expected[first].size)).add(expected[first], seen[second])
        for part in parts:
            first, second = pairs[part.concat]
            wanted = part.of(expected[first])
            joined.setdefault(part, SignalToNoise(wanted.size)).add(wanted, part.of(seen[second]))
    return _decibels(layers), _decibels(joined)


def _decibels(meters: Mapping[_Key, SignalToNoise]) -> dict[_Key, float]:
    return {key: ratio for key, meter in meters.items() if (ratio := meter.decibels()) is not None}
