"""Transposes are cancelled: each value gets the layout that leaves the fewest, none of them inside the graph."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import result_of, shape_of, sole_consumer
from edgefleet_compiler.passes.layout.analysis import Assignment, assign_layouts
from edgefleet_compiler.passes.layout.permutation import identity
from edgefleet_compiler.passes.layout.rewrite import LayoutRewriter
from edgefleet_compiler.passes.record import Effects


def choose_layouts(model: ir.Model) -> Effects:
    """Store values so that Transposes disappear, or stand at the graph's inputs and outputs.

    Sources: layout assignment as a labelling problem; see ``analysis``. Numbers are moved, never changed, except that
    sums over permuted axes may round differently.
    """
    graph = model.graph
    before = _transposes(graph)
    if not before:
        return Effects()
    assignment = assign_layouts(graph)
    if _is_settled(assignment):
        return Effects()
    signature = _signature(graph)
    LayoutRewriter(graph, assignment).run()
    removed = before - _transposes(graph)
    if removed > 0:
        return Effects({"removed {} Transpose": removed})
    return Effects() if _signature(graph) == signature else Effects({"moved {} Transpose to the border": before})


def _transposes(graph: ir.Graph) -> int:
    return sum(node.op_type == "Transpose" for node in graph)


def _is_settled(assignment: Assignment) -> bool:
    """Whether only inputs and outputs should lie otherwise than they do, and have their one Transpose already."""
    return all(
        layout == identity(len(layout)) or _has_transpose_at_border(value, assignment)
        for value, layout in assignment.layouts.items()
    )


def _has_transpose_at_border(value: ir.Value, assignment: Assignment) -> bool:
    if value.is_graph_input():
        return sole_consumer(value) in assignment.absorbed
    return value.is_graph_output() and not value.uses() and value.producer() in assignment.absorbed


def _signature(graph: ir.Graph) -> list[tuple[str, tuple[int, ...]]]:
    """Enough of the graph to see whether anything moved."""
    return [(node.op_type, shape_of(result_of(node))) for node in graph]
