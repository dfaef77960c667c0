"""The step of the compression: layers become chains, one after the other, and each makes up for those before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.low_rank.algebra import Matrix
from edgefleet_compiler.compress.low_rank.chain import Chains
from edgefleet_compiler.compress.low_rank.check import checked
from edgefleet_compiler.compress.low_rank.gathered import LayerGathering
from edgefleet_compiler.compress.low_rank.importance import importance
from edgefleet_compiler.compress.low_rank.parts import Parts, split, store
from edgefleet_compiler.compress.low_rank.refit import refitted
from edgefleet_compiler.compress.low_rank.words import Factors
from edgefleet_compiler.compress.moments import Moments
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of
from edgefleet_compiler.hub.passage import Passage
from edgefleet_compiler.passes.dead_code import remove_dead_code
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.quantise.operators import WEIGHTED
from edgefleet_compiler.tensors import Sample


def factored(hub: ir.Model, low_rank: Mapping[str, str], cases: Sequence[Sample], progress: Progress) -> ir.Model:
    """A hub with layers factored, and what follows them fitted to what the hub computed before.

    Args:
        hub: Float, in hub normal form; it is not changed.
        low_rank: Factors by the name of the node, as ``Factors.parse`` reads them.
        cases: Typical inputs as the hub takes them, batch 1; about a hundred.
        progress: Told of the layers.

    Raises:
        RecipeMalformed: A layer that there is not, or a rank not below the layer's own.
        RecipeUnfit: A layer that cannot be factored so.
    """
    return _Factoring(hub, checked(hub.graph, low_rank), cases, progress).run()


class _Factoring:
    """Goes through the layers of a hub, of which those before are done."""

    def __init__(
        self, hub: ir.Model, factors: Mapping[str, Factors], cases: Sequence[Sample], progress: Progress
    ) -> None:
        self._hub, self._factors, self._cases, self._progress = hub, factors, cases, progress
        self._originals = {node.name: node for node in hub.graph}
        self._copy = hub.clone()
        editor = Editor(self._copy.graph)
        nodes = {node.name or "": node for node in self._copy.graph}
        self._parts = {name: split(editor, nodes[name], each) for name, each in factors.items()}
        self._passages = Passage(hub, cases), Passage(self._copy, cases)
        self._changed: set[ir.Value] = set()

    def run(self) -> ir.Model:
        """The hub with all its layers done."""
        firsts = {parts.nodes[0]: name for name, parts in self._parts.items()}
        made = {node for parts in self._parts.values() for node in parts.nodes}
        self._progress.stage("factoring layers", len(firsts))
        for node in self._copy.graph:
            if node in firsts:
                self._factor(firsts[node], self._parts[firsts[node]])
                self._progress.advance()
            elif self._is_affected(node):
                self._changed.update(node.outputs)
                if _can_be_refitted(node) and node not in made:
                    self._refit(node)
        remove_dead_code(self._copy)
        return self._copy

    def _is_affected(self, node: ir.Node) -> bool:
        return any(value in self._changed for value in node.inputs if value is not None)

    def _factor(self, name: str, parts: Parts) -> None:
        original, (first, *_, last) = self._originals[name], parts.nodes
        linear = Linear(original)
        halves = self._halves(original, first)
        matters = importance(self._hub, name, self._cases)
        wanted = linear.matrices()
        if self._is_affected(first):
            wanted = refitted(wanted, halves, matters)
        both = halves[0].joined(halves[1])
        chains = Chains(wanted[0], linear.kernel, both.inputs[0], both.covariance[0], both.count, matters)
        matrices = chains.matrices(self._factors[name])
        parts.store(matrices)
        _shift(last, both, chains.composed(self._factors[name].kind, matrices)[np.newaxis])
        self._changed.update(first.outputs)

    def _refit(self, node: ir.Node) -> None:
        original = self._originals[node.name]
        halves = self._halves(original, node)
        fitted = refitted(Linear(original).matrices(), halves)
        store(node, fitted)
        _shift(node, halves[0].joined(halves[1]), fitted)

    def _halves(self, original: ir.Node, node: ir.Node) -> tuple[Moments, Moments]:
        """Of every second case, and of the others: what a node gets, and what its original gave."""
        halves = LayerGathering(original), LayerGathering(original)
        for number, (inputs, outputs) in enumerate(self._seen(original, node)):
            halves[number % 2].add(inputs, outputs)
        return halves[0].moments(), halves[1].moments()

    def _seen(self, original: ir.Node, node: ir.Node) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        source = node.inputs[0]
        assert source is not None
        inputs = self._passages[1].values(source, before=node)
        return zip(inputs, self._passages[0].values(original.outputs[0], before=original), strict=True)


def _can_be_refitted(node: ir.Node) -> bool:
    """Whether its weights are its own, and constant."""
    value = node.inputs[1] if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
    weights = constant(value)
    if value is None or weights is None or len(value.uses()) != 1:
        return False
    return node.op_type == "Conv" or weights.ndim == 2


def _shift(node: ir.Node, moments: Moments, weights: Matrix) -> None:
    """Let the bias of a node, where it has one of its own, give the outputs the mean that they should have."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    present = constant(value)
    if value is None or present is None or len(value.uses()) != 1:
        return
    given = np.einsum("gci,gi->gc", weights, moments.input_mean)
    bias = (moments.output_mean - given).reshape(present.shape).astype(np.float32)
    value.const_value = ir.Tensor(bias, name=name_of(value))
