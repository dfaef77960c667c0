"""What a lowered graph costs: multiply-accumulates and bytes of constants, in all and per operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.lowered.lifetimes import tensor_bytes

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerCost:
    """What one operator costs.

    Attributes:
        name: The source model's node (``Operator.source``), or the operator's first output.
        kind: The TFLite operator.
        macs: Multiply-accumulates of one inference; 0 for operators without weights.
        constant_bytes: Constants that no operator before it reads, so that the sum over all is the model's.
        activation_bytes: What it reads and writes besides constants.
    """

    name: str
    kind: str
    macs: int
    constant_bytes: int
    activation_bytes: int


def macs(graph: LoweredGraph) -> int:
    """Multiply-accumulates of one inference: convolutions, fully connected layers and products of matrices."""
    return sum(operator_macs(operator, graph) for operator in graph.operators)


def weights_bytes(graph: LoweredGraph) -> int:
    """Bytes of all constants: weights, biases, shapes and axes."""
    return sum(tensor_bytes(tensor) for tensor in graph.constants())


def layer_bytes(graph: LoweredGraph) -> dict[str, int]:
    """Bytes of constants by name of the source model's node; nodes that became several operators add up."""
    totals: dict[str, int] = {}
    for layer in layer_costs(graph):
        totals[layer.name] = totals.get(layer.name, 0) + layer.constant_bytes
    return totals


def layer_macs(graph: LoweredGraph) -> dict[str, int]:
    """Multiply-accumulates by name of the source model's node."""
    totals: dict[str, int] = {}
    for operator in graph.operators:
        name = operator.source or operator.outputs[0]
        totals[name] = totals.get(name, 0) + operator_macs(operator, graph)
    return totals


def layer_costs(graph: LoweredGraph) -> list[LayerCost]:
    """What each operator costs, in execution order."""
    counted: set[str] = set()
    layers = []
    for operator in graph.operators:
        read = dict.fromkeys(name for name in operator.inputs if name is not None)
        constants = [name for name in read if graph.tensors[name].is_constant]
        activations = [name for name in (*read, *operator.outputs) if not graph.tensors[name].is_constant]
        layers.append(
            LayerCost(
                operator.source or operator.outputs[0],
                operator.kind,
                operator_macs(operator, graph),
                sum(tensor_bytes(graph.tensors[name]) for name in constants if name not in counted),
                sum(tensor_bytes(graph.tensors[name]) for name in activations),
            )
        )
        counted.update(constants)
    return layers


def operator_macs(operator: Operator, graph: LoweredGraph) -> int:
    """Multiply-accumulates of one operator: outputs times the weights that each output sees.

    Args:
        operator: An operator of ``graph``.
        graph: For the operator's tensors.
    """
    count = _MACS.get(operator.kind)
    if count is None:
        return 0
    shapes = [graph.tensors[name].shape if name is not None else () for name in operator.inputs]
    return count(operator, shapes, prod(graph.tensors[operator.outputs[0]].shape))


def _of_weights(_: Operator, shapes: list[Shape], outputs: int) -> int:
    return outputs * prod(shapes[1][1:])  # O, H, W, I or O, I


def _of_depthwise_weights(_: Operator, shapes: list[Shape], outputs: int) -> int:
    return outputs * prod(shapes[1][:3])  # 1, H, W, O


def _of_scattered_weights(_: Operator, shapes: list[Shape], __: int) -> int:
    outputs, *kernel, _inputs = shapes[1]
    return prod(shapes[2]) * outputs * prod(kernel)  # each element of the input meets the kernel of each output


def _of_matrices(operator: Operator, shapes: list[Shape], outputs: int) -> int:
    return outputs * shapes[0][-2 if operator.attributes.get("adj_x", False) else -1]


def _of_svdf(_: Operator, shapes: list[Shape], __: int) -> int:
    batch, filters = shapes[0][0], shapes[1][0]
    return batch * filters * (shapes[1][1] + shapes[2][1])  # over features, then over time


_MACS: dict[str, Callable[[Operator, list[Shape], int], int]] = {
    "BATCH_MATMUL": _of_matrices,
    "CONV_2D": _of_weights,
    "DEPTHWISE_CONV_2D": _of_depthwise_weights,
    "FULLY_CONNECTED": _of_weights,
    "SVDF": _of_svdf,
    "TRANSPOSE_CONV": _of_scattered_weights,
}
"""How operators count, by their operands' shapes and the number of elements of their output."""
