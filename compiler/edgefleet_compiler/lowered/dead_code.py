"""Operators that no output depends on, and tensors that no operator uses, are taken out."""

from __future__ import annotations

from edgefleet_compiler.lowered.graph import LoweredGraph


def remove_dead_code(graph: LoweredGraph) -> None:
    """Keep only what the outputs depend on; the graph's inputs always stay."""
    needed = set(graph.outputs)
    kept = []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(name for name in operator.inputs if name is not None)
            needed.update(operator.outputs)
    graph.operators = kept[::-1]
    graph.tensors = {name: tensor for name, tensor in graph.tensors.items() if name in needed or name in graph.inputs}
