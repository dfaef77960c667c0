"""What each layer does to the model's outputs, not to its own: by trials with it alone quantised, and with all but it.

The noise of a layer in front matters as much as what follows makes of it, which no figure of the layer itself says.
Alone, its noise can be added to that of others, as mixed precision does (HAWQ-V3, Yao et al. 2021, arXiv:2011.10680,
section 3.3, assumes the same of its second-order figures). Left out, it shows what is gained by treating it better.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgefleet_compiler.hub.graph import constant, name_of, result_of, sole_consumer
from edgefleet_compiler.quantise.operators import MOVING, data_inputs
from edgefleet_compiler.quantise.parameters import Parameters
from edgefleet_compiler.quantise.search.reference import Reference, decibels
from edgefleet_compiler.quantise.search.trial import Trial, pair_parameters, pairs_of

_ACTIVATIONS = ("Clip", "Relu")


@dataclass(frozen=True)
class LayerNoise:
    """What one layer does to the outputs. Noise is power over that of the signal, as ``Measure.noise`` has it.

    Attributes:
        name: Of the node in the float hub.
        operator: Of the node.
        activation: What the layer gives, its fused activation included; the name in the hub.
        weights: The noise with nothing but this layer's constants rounded; 0 without constants.
        output: The noise with nothing but this layer's output rounded; 0 where it stays float.
        without: The noise with everything rounded but these; None where it was not asked for.
    """

    name: str
    operator: str
    activation: str
    weights: float
    output: float
    without: float | None

    @property
    def alone(self) -> float:
        """The noise of constants and output together, which hardly correlate."""
        return self.weights + self.output

    @property
    def sqnr_db(self) -> float:
        """``alone`` as a signal to noise ratio; infinity without noise."""
        return decibels(self.alone)


@dataclass(frozen=True)
class Sensitivity:
    """What all layers do to the outputs.

    Attributes:
        total: The noise with everything rounded.
        inputs: The noise with nothing but an input of the model rounded, by the input's name.
        layers: In the order of the hub.
    """

    total: float
    inputs: dict[str, float]
    layers: tuple[LayerNoise, ...]

    @property
    def sqnr_db(self) -> float:
        """``total`` as a signal to noise ratio; infinity without noise."""
        return decibels(self.total)

    def worst(self) -> list[LayerNoise]:
        """The layers, those first that make the most noise alone."""
        return sorted(self.layers, key=lambda layer: -layer.alone)


def measure_sensitivity(
    hub: ir.Model, quantised: ir.Model, reference: Reference, *, leave_out: bool = True
) -> Sensitivity:
    """Measure every layer of a quantised hub.

    Args:
        hub: The float hub, in normal form.
        quantised: What was made of it, whatever its weights and types.
        reference: Of the float hub; 64 cases are plenty.
        leave_out: Whether to measure what is left without each layer, too; that takes more than half of the time.
    """
    trials = _Trials(hub, quantised, reference)
    return Sensitivity(
        total=trials.all_rounded.measure({}).noise,
        inputs={
            name: trials.only([name])
            for name in map(name_of, hub.graph.inputs)
            if name in trials.all_rounded.parameters
        },
        layers=tuple(
            LayerNoise(
                name=layer.node.name or "",
                operator=layer.node.op_type,
                activation=layer.activation,
                weights=trials.weights(layer),
                output=trials.output(layer),
                without=trials.without(layer) if leave_out else None,
            )
            for layer in _layers(hub, quantised)
        ),
    )


class _Trials:
    """Trials of one quantised hub."""

    def __init__(self, hub: ir.Model, quantised: ir.Model, reference: Reference) -> None:
        self._hub, self._quantised, self._reference = hub, quantised, reference
        self.all_rounded = self._trial(None)
        self._all_float = self._trial(())

    def only(self, pairs: Iterable[str]) -> float:
        """The noise with nothing but some pairs rounding."""
        given = self._all_float.parameters
        return self._all_float.measure_only({name: given[name] for name in pairs}).noise

    def weights(self, layer: _Layer) -> float:
        return self._trial(layer.nodes).measure_only({}).noise if layer.weighted else 0.0

    def output(self, layer: _Layer) -> float:
        return self.only(layer.pairs) if layer.pairs else 0.0

    def without(self, layer: _Layer) -> float:
        others = {node.name for node in self._hub.graph if node.name} - layer.nodes
        trial = self._trial(others) if layer.weighted else self.all_rounded
        return trial.measure(dict.fromkeys(layer.pairs)).noise

    def _trial(self, rounded: Collection[str] | None) -> Trial:
        return Trial(self._hub, self._quantised, self._reference, rounded=rounded)


@dataclass(frozen=True)
class _Layer:
    """A layer of which something is rounded.

    Attributes:
        node: In the float hub.
        nodes: Names of the nodes that are one layer.
        activation: What it gives.
        pairs: That round it, those behind nodes that only move it included.
        weighted: Whether constants are rounded.
    """

    node: ir.Node
    nodes: frozenset[str]
    activation: str
    pairs: tuple[str, ...]
    weighted: bool


def _layers(hub: ir.Model, quantised: ir.Model) -> Iterator[_Layer]:
    pairs = pair_parameters(quantised)
    weighted = {node.name for node in quantised.graph if any(map(_is_rounded_constant, node.inputs))}
    behind = _pairs_behind(hub.graph, pairs)
    fused: set[ir.Node] = set()
    for node in hub.graph:
        if node in fused:
            continue
        follower = sole_consumer(result_of(node))
        last = node
        if follower is not None and follower.op_type in _ACTIVATIONS and name_of(result_of(node)) not in pairs:
            last = follower
            fused.add(last)
        given = name_of(result_of(last))
        layer = _Layer(
            node,
            frozenset(each.name for each in (node, last) if each.name),
            given,
            tuple(dict.fromkeys([*pairs_of(pairs, [given]), *behind.get(given, ())])),
            node.name in weighted,
        )
        if layer.weighted or (layer.pairs and not _only_moves(node, pairs)):
            yield layer


def _pairs_behind(graph: ir.Graph, pairs: Mapping[str, Parameters]) -> dict[str, tuple[str, ...]]:
    """The pairs that round an activation once more, behind nodes that only move its elements."""
    behind: dict[str, tuple[str, ...]] = {}
    for node in reversed(graph):
        if _only_moves(node, pairs):
            given = name_of(result_of(node))
            for name in (name_of(value) for index in data_inputs(node) if (value := node.inputs[index]) is not None):
                behind[name] = (*behind.get(name, ()), *pairs_of(pairs, [given]), *behind.get(given, ()))
    return behind


def _only_moves(node: ir.Node, pairs: Mapping[str, Parameters]) -> bool:
    """Whether a node moves what is rounded by the same parameters already: its own pair changes nothing."""
    given = pairs.get(name_of(result_of(node)))
    return node.op_type in MOVING and all(
        constant(value) is None and pairs.get(name_of(value)) == given
        for value in (node.inputs[index] for index in data_inputs(node))
        if value is not None
    )


def _is_rounded_constant(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear" and constant(producer.inputs[0]) is not None
