"""TRANSPOSEs that follow each other become one, or none where they cancel."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lowered.editing import bypass, keeps_parameters, writers
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor


def cancel_transposes(graph: LoweredGraph) -> None:
    """Let every TRANSPOSE read what the one before it read, by the product of both permutations."""
    written_by = writers(graph)
    for operator in [operator for operator in graph.operators if operator.kind == "TRANSPOSE"]:
        before = written_by.get(str(operator.inputs[0]))
        axes = _axes(graph, operator)
        first = _axes(graph, before) if before is not None and before.kind == "TRANSPOSE" else None
        if axes is None:
            continue
        if before is not None and first is not None:
            axes = [first[axis] for axis in axes]
            name = graph.fresh_name("axes")
            graph.add_tensor(Tensor(name, (len(axes),), np.dtype(np.int32), data=np.array(axes, np.int32)))
            operator.inputs = [before.inputs[0], name]
        if axes == sorted(axes) and keeps_parameters(graph, operator) and bypass(graph, operator):
            written_by = writers(graph)


def _axes(graph: LoweredGraph, operator: Operator) -> list[int] | None:
    """The permutation; None where it is computed at run time."""
    axes = graph.tensors[str(operator.inputs[1])].data
    return None if axes is None else [int(axis) for axis in axes]
