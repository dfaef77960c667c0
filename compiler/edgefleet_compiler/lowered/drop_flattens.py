"""A RESHAPE to rows before FULLY_CONNECTED goes: that operator takes any shape as rows of its weights' width."""

from __future__ import annotations

from edgefleet_compiler.lowered.editing import keeps_parameters, writers
from edgefleet_compiler.lowered.graph import LoweredGraph


def drop_flattens(graph: LoweredGraph) -> None:
    """Let FULLY_CONNECTED read what a RESHAPE before it read, unless it is to keep that shape."""
    written_by = writers(graph)
    for operator in graph.operators:
        if operator.kind != "FULLY_CONNECTED" or operator.attributes.get("keep_num_dims", False):
            continue
        reshape = written_by.get(str(operator.inputs[0]))
        if reshape is not None and reshape.kind == "RESHAPE" and keeps_parameters(graph, reshape):
            operator.inputs[0] = reshape.inputs[0]
