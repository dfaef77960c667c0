"""What a lowered graph costs: multiply-accumulates and bytes of constants, in all and per operator."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.lowered.lifetimes import tensor_bytes


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
    """Multiply-accumulates of one inference: convolutions and fully connected layers, as the literature counts."""
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
    if operator.kind not in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
        return 0
    weights = graph.tensors[operator.inputs[1] or ""].shape
    outputs = prod(graph.tensors[operator.outputs[0]].shape)
    if operator.kind == "DEPTHWISE_CONV_2D":
        return outputs * prod(weights[:3])  # 1, H, W, O
    return outputs * prod(weights[1:])  # O, H, W, I or O, I
