"""A clamp after a RESHAPE or TRANSPOSE is done before it, so that it can be fused and the two neighbours can merge."""

from __future__ import annotations

from dataclasses import replace

from edgefleet_compiler.lowered.editing import keeps_parameters
from edgefleet_compiler.lowered.fuse_activations import CLAMPS
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, same_parameters

MOVES = frozenset({"RESHAPE", "TRANSPOSE"})


def raise_clamps(graph: LoweredGraph) -> None:
    """Let clamps change places with the operators before them that only move elements, and that nobody else reads."""
    for clamp in [operator for operator in graph.operators if operator.kind in CLAMPS]:
        while (move := _move_before(graph, clamp)) is not None:
            _swap(graph, move, clamp)


def _move_before(graph: LoweredGraph, clamp: Operator) -> Operator | None:
    moved = graph.tensors[str(clamp.inputs[0])]
    move = graph.producer(moved.name)
    if move is None or move.kind not in MOVES or moved.name in graph.outputs:
        return None
    if not keeps_parameters(graph, move):
        return None
    clamped = graph.tensors[clamp.outputs[0]]
    alone = len(graph.consumers(moved.name)) == 1 and same_parameters(moved.quantisation, clamped.quantisation)
    return move if alone else None


def _swap(graph: LoweredGraph, move: Operator, clamp: Operator) -> None:
    """Let ``clamp`` read what ``move`` read, and write what ``move`` then moves."""
    source, between = graph.tensors[str(move.inputs[0])], graph.tensors[move.outputs[0]]
    graph.tensors[between.name] = replace(between, shape=source.shape)
    clamp.inputs[0], move.inputs[0] = source.name, between.name
    clamp.outputs, move.outputs = [between.name], clamp.outputs
    graph.operators.remove(clamp)
    graph.operators.insert(graph.operators.index(move), clamp)
