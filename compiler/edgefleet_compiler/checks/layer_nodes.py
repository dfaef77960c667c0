"""Which nodes of a hub make one layer, and which layers it is computed from."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgefleet_compiler.hub.graph import result_of, sole_consumer

_ACTIVATIONS = frozenset({"Relu", "Clip"})


def name_of_node(node: ir.Node) -> str:
    """The name of a node; every hub node has one."""
    assert node.name
    return node.name


def last_of(node: ir.Node) -> ir.Node:
    """The activation that is fused into a node, or the node itself: both are one layer."""
    follower = sole_consumer(result_of(node))
    return follower if follower is not None and follower.op_type in _ACTIVATIONS else node


def is_fused(node: ir.Node) -> bool:
    """Whether a node is part of the layer before it."""
    producer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return producer is not None and last_of(producer) is node


def giver_of(value: ir.Value | None) -> str | None:
    """The name of the layer that gives a value; None for an input or a constant."""
    producer = None if value is None else value.producer()
    while producer is not None and (producer.op_type == "Transpose" or is_fused(producer)):
        first = producer.inputs[0]
        producer = None if first is None else first.producer()
    return None if producer is None else name_of_node(producer)


def givers_of(node: ir.Node) -> Iterator[str]:
    """The names of the layers that a node is computed from."""
    for value in node.inputs:
        name = giver_of(value)
        if name is not None:
            yield name
