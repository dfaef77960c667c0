"""What a layer costs, the chains in its place, and all layers of a graph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from edgefleet_compiler.compress.low_rank.words import Factors
from edgefleet_compiler.hub.graph import constant, shape_of
from edgefleet_compiler.quantise.operators import WEIGHTED


@dataclass(frozen=True)
class Cost:
    """Of a layer or of a chain.

    Attributes:
        weights: Elements, which are bytes in int8.
        macs: Multiply-accumulates of an inference.
    """

    weights: int
    macs: int

    def is_below(self, other: Cost) -> bool:
        """Whether it is less in both respects."""
        return self.weights < other.weights and self.macs < other.macs


def cost_of(node: ir.Node, factors: Factors | None = None) -> Cost:
    """The cost of a layer with constant weights; with factors, that of the chain in its place."""
    weights = constant(node.inputs[1])
    source = node.inputs[0]
    assert weights is not None
    assert source is not None
    before, after = shape_of(source), shape_of(node.outputs[0])
    if node.op_type != "Conv":
        rows, (inputs, outputs) = math.prod(after[:-1]), (before[-1], after[-1])
        size = weights.size if factors is None else factors.ranks[0] * (inputs + outputs)
        return Cost(size, size * rows)
    if factors is None:
        return Cost(weights.size, weights.size * math.prod(after[2:]))
    return _of_convolutions(factors, weights.shape, before[2:], after[2:])


def weights_of(graph: ir.Graph) -> int:
    """Elements of the weights of all layers with constant ones."""
    layers = (node for node in graph if node.op_type in WEIGHTED)
    arrays = (constant(node.inputs[1]) for node in layers)
    return sum(array.size for array in arrays if array is not None)


def _of_convolutions(factors: Factors, shape: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]) -> Cost:
    """Of a chain, by the shape of the layer's weights and the sizes of its input and of its output."""
    outputs, inputs, *kernel = shape
    here, there, places = math.prod(before), math.prod(after), math.prod(kernel)
    first, last = factors.ranks[0], factors.ranks[-1]
    match factors.kind:
        case "svd":
            parts = [(first * inputs * places, there), (outputs * first, there)]
        case "spatial":
            parts = [(first * inputs * kernel[0], after[0] * before[1]), (outputs * first * kernel[1], there)]
        case "tucker":
            parts = [(first * inputs, here), (last * first * places, there), (outputs * last, there)]
    return Cost(sum(size for size, _ in parts), sum(size * positions for size, positions in parts))
