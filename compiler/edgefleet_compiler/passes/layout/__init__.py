"""Transposes are cancelled: each value gets the layout that leaves the fewest, none of them inside the graph."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.passes.layout.analysis import assign_layouts
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
    signature = _signature(graph)
    LayoutRewriter(graph, assign_layouts(graph)).run()
    removed = before - _transposes(graph)
    if removed > 0:
        return Effects({"removed {} Transpose": removed})
    return Effects() if _signature(graph) == signature else Effects({"moved {} Transpose to the border": before})


def _transposes(graph: ir.Graph) -> int:
    return sum(node.op_type == "Transpose" for node in graph)


def _signature(graph: ir.Graph) -> list[tuple[str, tuple[int, ...]]]:
    """Enough of the graph to see whether anything moved."""
    return [(node.op_type, shape_of(node.outputs[0])) for node in graph]
