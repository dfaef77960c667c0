"""Layers: what each costs in bytes, and how true its output still is.

Both hubs are run on the same cases with every inner value as an output; nodes are matched by name, so that a layer's
figure holds all the noise that gathered up to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import onnx_ir as ir

from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.hub.graph import byte_size, constant, name_of, result_of, sole_consumer
from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lowered.costs import layer_costs
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.quantise.masks import masked_nodes
from edgefleet_compiler.quantise.operators import is_quantisable
from edgefleet_compiler.tensors import Sample

_WRAPPERS = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})
_ACTIVATIONS = frozenset({"Relu", "Clip"})
_LEFT_IN_FLOAT = "left in float: it has no form in these integers"
_FLOAT_BY_CHOICE = "in float, as the recipe asks of it or of all its neighbours"
DROWNED = "drowned: the noise begins here"
_LEAST_DB = 0.0
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
    """

    name: str
    operator: str
    sqnr_db: float | None
    bytes: int
    cause: str | None
    macs: int | None = None
    time_us: float | None = None
    float_time_us: float | None = None


def inspect_layers(float_hub: ir.Model, hub: ir.Model, samples: Iterable[Sample]) -> list[Layer]:
    """The layers of a hub beside the float hub that it came from.

    Args:
        float_hub: The reference.
        hub: The hub that was exported: quantised, with narrow weights, or the reference itself.
        samples: A few cases.
    """
    references = {name_of_node(node): name_of(result_of(_last(node))) for node in float_hub.graph}
    nodes = [
        node
        for node in hub.graph
        if name_of_node(node) in references and node.op_type != "Transpose" and not _is_fused(node)
    ]
    pairs = {name_of_node(node): (references[name_of_node(node)], name_of(_stored(node))) for node in nodes}
    ratios = {} if hub is float_hub else _ratios(float_hub, hub, pairs, samples)
    quantised = any(node.op_type == "QuantizeLinear" for node in hub.graph)
    drowned = _drowned(float_hub, ratios)
    masked = {name_of_node(node) for node in masked_nodes(float_hub.graph)} if quantised else set()
    return [
        Layer(
            name=name_of_node(node),
            operator=node.op_type if _last(node) is node else f"{node.op_type} + {_last(node).op_type}",
            sqnr_db=ratios.get(name_of_node(node)),
            bytes=sum(byte_size(value) for value in _constants(node)),
            cause=_cause(node, quantised, drowned, masked),
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


def name_of_node(node: ir.Node) -> str:
    """The name of a node; every hub node has one."""
    assert node.name
    return node.name


def _last(node: ir.Node) -> ir.Node:
    """The activation that is fused into a node, or the node itself: both are one layer."""
    follower = sole_consumer(result_of(node))
    return follower if follower is not None and follower.op_type in _ACTIVATIONS else node


def _cause(node: ir.Node, quantised: bool, drowned: set[str], masked: set[str]) -> str | None:
    if name_of_node(node) in drowned:
        return DROWNED
    if name_of_node(node) in masked:
        return _MASKED
    if not quantised or _stored(node) is not result_of(_last(node)):
        return None
    return _FLOAT_BY_CHOICE if is_quantisable(node) and node.op_type in SIXTEEN_BITS else _LEFT_IN_FLOAT


def _drowned(float_hub: ir.Model, ratios: Mapping[str, float]) -> set[str]:
    """The layers whose own rounding drowns what their inputs still had.

    That is where noise first exceeds the signal, and where a layer is far worse than all that it is computed from, as
    values are that share the scale of much larger ones. The mean over the outputs would hide both.
    """
    drowned = set()
    for node in float_hub.graph:
        ratio = ratios.get(name_of_node(node))
        before = [ratios[name] for name in _layers_before(node) if name in ratios]
        if ratio is None:
            continue
        sinks = ratio < _LEAST_DB and all(other >= _LEAST_DB for other in before)
        if sinks or (before and ratio < min(*before, _BEST_OF_EIGHT_BITS_DB) - _LARGEST_STEP_DB):
            drowned.add(name_of_node(node))
    return drowned


def _layers_before(node: ir.Node) -> Iterator[str]:
    """The names of the layers that a node is computed from."""
    for value in node.inputs:
        producer = None if value is None else value.producer()
        while producer is not None and (producer.op_type == "Transpose" or _is_fused(producer)):
            first = producer.inputs[0]
            producer = None if first is None else first.producer()
        if producer is not None:
            yield name_of_node(producer)


def _is_fused(node: ir.Node) -> bool:
    """Whether a node is part of the layer before it."""
    producer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return producer is not None and _last(producer) is node


def _stored(node: ir.Node) -> ir.Value:
    """What a layer's consumers see: its output behind QuantizeLinear and DequantizeLinear, if it has them."""
    output = result_of(_last(node))
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
    float_hub: ir.Model, hub: ir.Model, pairs: dict[str, tuple[str, str]], samples: Iterable[Sample]
) -> dict[str, float]:
    reference = Session(_with_outputs(float_hub, {first for first, _ in pairs.values()}))
    compiled = Session(_with_outputs(hub, {second for _, second in pairs.values()}), optimise=False)
    meters: dict[str, SignalToNoise] = {}
    for sample in samples:
        expected, seen = reference.run(sample), compiled.run(sample)
        for name, (first, second) in pairs.items():
            meters.setdefault(name, SignalToNoise(expected[first].size)).add(expected[first], seen[second])
    return {name: ratio for name, meter in meters.items() if (ratio := meter.decibels()) is not None}


def _with_outputs(model: ir.Model, names: set[str]) -> ir.Model:
    """A copy whose values of the given names are outputs as well."""
    copy = model.clone()
    present = {value.name for value in copy.graph.outputs}
    for node in copy.graph:
        for value in node.outputs:
            if value.name in names and value.name not in present:
                copy.graph.outputs.append(value)
    return copy
