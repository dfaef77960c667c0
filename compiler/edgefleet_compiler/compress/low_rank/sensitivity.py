"""What factoring one layer alone does to the outputs of the model, in each way and at several ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.low_rank.algebra import Matrix
from edgefleet_compiler.compress.low_rank.chain import Chains
from edgefleet_compiler.compress.low_rank.check import full_ranks, why_not
from edgefleet_compiler.compress.low_rank.costs import Cost, cost_of
from edgefleet_compiler.compress.low_rank.gathered import LayerGathering
from edgefleet_compiler.compress.low_rank.importance import importance
from edgefleet_compiler.compress.low_rank.words import Factors, Kind
from edgefleet_compiler.compress.moments import Moments
from edgefleet_compiler.hub.graph import activation_inputs, constant, name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.rounding.watch import watching as computing
from edgefleet_compiler.quantise.search.reference import Reference, watching
from edgefleet_compiler.tensors import Sample

_SHARES = (3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8, 3 / 32, 1 / 16, 1 / 32)
"""Of a layer's own ranks."""

_LOST = 0.4
"""Noise, as power over that of the signal, beyond which outputs tell nothing, and lower ranks are not looked at."""

_STEP = 4
"""Ranks from 8 on are multiples of this: kernels take channels in fours."""

_KINDS: tuple[Kind, ...] = ("svd", "spatial", "tucker")


@dataclass(frozen=True)
class Option:
    """A way to factor a layer.

    Attributes:
        factors: None for the layer as it is.
        noise: In the outputs, power over that of the signal, with this layer factored and no other.
        cost: Of the layer or of the chain.
    """

    factors: Factors | None
    noise: float
    cost: Cost


def measure_options(
    hub: ir.Model,
    made_by: Sequence[Sample],
    judged_by: Sequence[Sample],
    on_layer: Callable[[], None] = lambda: None,
) -> dict[str, list[Option]]:
    """What can be done with each layer that can be factored; the first option is to leave it as it is.

    Options that cost more weights or more multiply-accumulates than the layer are left out, and those that leave
    nothing of the outputs.

    Args:
        hub: Float, in hub normal form; it is not changed.
        made_by: Typical inputs, a batch of one each, that factors are found by.
        judged_by: Other ones that noise is measured on.
        on_layer: Called after each layer.
    """
    nodes = candidates(hub.graph)
    moments = _moments(hub, nodes, made_by)
    trial = _Trial(hub, nodes, Reference(hub, judged_by))
    found = {}
    for node in nodes:
        name = node.name or ""
        chains = _chains(node, moments[name], importance(hub, name, made_by))
        found[name] = [Option(None, 0.0, cost_of(node))]
        for kind in _KINDS:
            for factors in _worth_trying(node, kind):
                weights = chains.composed(kind, chains.matrices(factors))
                noise = trial.noise(node, weights, moments[name])
                if noise > _LOST:
                    break
                found[name].append(Option(factors, noise, cost_of(node, factors)))
        on_layer()
    return found


def candidates(graph: ir.Graph) -> list[ir.Node]:
    """The layers that can be factored so that they cost less."""
    return [node for node in graph if any(any(_worth_trying(node, kind)) for kind in _KINDS)]


def _worth_trying(node: ir.Node, kind: Kind) -> Iterator[Factors]:
    """Factors that cost less than the layer, the highest ranks first."""
    if why_not(node, kind):
        return
    full = full_ranks(node, kind)
    for ranks in dict.fromkeys(tuple(_near(share * rank) for rank in full) for share in _SHARES):
        factors = Factors(kind, ranks)
        lowers = all(0 < rank < limit for rank, limit in zip(ranks, full, strict=True))
        if lowers and cost_of(node, factors).is_below(cost_of(node)):
            yield factors


def _near(rank: float) -> int:
    return round(rank) if rank < 2 * _STEP else _STEP * round(rank / _STEP)


def _moments(hub: ir.Model, nodes: Sequence[ir.Node], cases: Sequence[Sample]) -> dict[str, Moments]:
    """Of what each layer gets and gives, in one pass over the cases."""
    gatherings = {node.name or "": LayerGathering(node) for node in nodes}
    names = {node.name or "": (name_of(activation_inputs(node)[0]), name_of(node.outputs[0])) for node in nodes}
    compute = computing(hub, list(dict.fromkeys(name for both in names.values() for name in both)))
    for case in cases:
        values = compute(case)
        for layer, gathering in gatherings.items():
            inputs, outputs = names[layer]
            gathering.add(values[inputs], values[outputs])
    return {layer: gathering.moments() for layer, gathering in gatherings.items()}


def _chains(node: ir.Node, moments: Moments, matters: Matrix) -> Chains:
    linear = Linear(node)
    return Chains(linear.matrices()[0], linear.kernel, moments.inputs[0], moments.covariance[0], moments.count, matters)


class _Trial:
    """The model with the weights and biases of layers as inputs, whose defaults are what they are."""

    def __init__(self, hub: ir.Model, nodes: Sequence[ir.Node], reference: Reference) -> None:
        self._reference = reference
        copy = watching(hub.clone(), reference.watched)
        constants = copy.graph.initializers
        values = dict.fromkeys(name for node in nodes for name in _names(node))
        copy.graph.inputs.extend(constants[name] for name in values)
        self._session = Session(copy, optimise=False)

    def noise(self, node: ir.Node, weights: Matrix, moments: Moments) -> float:
        """The noise in the outputs with other weights of a layer, and its bias fitted to them."""
        own, *bias = _names(node)
        feeds: dict[str, NDArray[np.generic]] = {own: Linear(node).weights(weights[np.newaxis])}
        if bias:
            feeds[bias[0]] = (moments.output_mean - moments.input_mean @ weights.T)[0].astype(np.float32)
        return self._reference.measure(self._reference.run(self._session, feeds), {}).noise


def _names(node: ir.Node) -> list[str]:
    """Of a layer's weights, and of a bias of its own."""
    values = [value for value in node.inputs[1:] if value is not None]
    return [name_of(value) for value in values if constant(value) is not None and len(value.uses()) == 1]
