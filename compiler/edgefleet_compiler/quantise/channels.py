"""Which channels of which values must be scaled together, so that what a model computes stays the same.

Layers are positively homogeneous where nothing but these stands between them: f(s x) = s f(x) for s > 0 (Nagel et al.
2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1). A channel that a weighted
layer writes may then be divided by any s > 0, if all that reads it multiplies its weights by s. Channels that meet in
an Add are one, and so are those of a value however it is reshaped: *classes*, by union-find over single channels, so
that Concat, Split and Flatten need no cases of their own. What anything else reads, or leaves the graph, stays fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import (
    constant,
    integer,
    is_float,
    rank_of,
)
from edgefleet_compiler.quantise.channel_rules import FIXED, RULES, Channels, Classes, Known, given


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


class _Tracker(Known):
    def __init__(self) -> None:
        super().__init__()
        self._layers: list[Weighted] = []

    def visit(self, node: ir.Node) -> None:
        """Note what the node does to channels; what is not understood fixes all that it reads."""
        if not node.domain and self._is_weighted(node):
            self._add_layer(node)
            return
        rule = None if node.domain else RULES.get(node.op_type)
        found = None if rule is None else rule(self, node)
        if found is None:
            for value in node.inputs:
                self.fix(value)
            return
        for value, channels in zip(node.outputs, found, strict=True):
            self.values[value] = channels

    def result(self) -> Tracked:
        roots = np.array([self.root(number) for number in range(self.count)], np.intp)
        values = {value: Channels(known.axis, roots[known.classes]) for value, known in self.values.items()}
        layers = [Weighted(layer.node, roots[layer.reads], roots[layer.writes]) for layer in self._layers]
        return Tracked(values, layers, len(roots))

    # --- layers ------------------------------------------------------------------------------------------------------

    def _is_weighted(self, node: ir.Node) -> bool:
        if node.op_type == "Gemm" and (integer(node, "transA", 0) or rank_of(node.outputs[0]) != 2):
            return False
        if node.op_type not in ("Conv", "Gemm", "MatMul") or not is_float(node.outputs[0]):
            return False
        operands = [constant(value) for value in node.inputs[1:] if value is not None]
        return all(array is not None for array in operands) and (node.op_type == "Conv" or rank_of(given(node, 1)) == 2)

    def _add_layer(self, node: ir.Node) -> None:
        weights = constant(node.inputs[1])
        assert weights is not None
        outputs, inputs = matrix_of(node, weights).shape[:2]
        groups = integer(node, "group", 1) if node.op_type == "Conv" else 1
        source = given(node, 0)
        axis = 1 if node.op_type == "Conv" else rank_of(source) - 1
        known = self.channels_of(source)
        if known is not None and known.axis != axis:
            self.fix(source)
            known = None
        read = np.full(inputs * groups, FIXED) if known is None else known.classes
        writes = self.fresh(outputs)
        self.values[node.outputs[0]] = Channels(axis, writes)
        self._layers.append(Weighted(node, read.reshape(groups, inputs).repeat(outputs // groups, axis=0), writes))
