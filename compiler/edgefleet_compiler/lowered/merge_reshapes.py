"""RESHAPEs that follow each other become one, and those that change nothing go; of a constant they are done here."""

from __future__ import annotations

from edgefleet_compiler.lowered.editing import bypass, keeps_parameters, writers
from edgefleet_compiler.lowered.graph import LoweredGraph, Tensor


def merge_reshapes(graph: LoweredGraph) -> None:
    """Let every RESHAPE read what the one before it read; RESHAPE moves no element."""
    written_by = writers(graph)
    for operator in [operator for operator in graph.operators if operator.kind == "RESHAPE"]:
        before = written_by.get(str(operator.inputs[0]))
        if before is not None and before.kind == "RESHAPE":
            operator.inputs[0] = before.inputs[0]
        source, output = graph.tensors[str(operator.inputs[0])], graph.tensors[operator.outputs[0]]
        if not keeps_parameters(graph, operator):
            continue
        if source.shape == output.shape:
            if bypass(graph, operator):
                written_by = writers(graph)
        elif source.data is not None and output.name not in graph.outputs:
            graph.tensors[output.name] = Tensor(
                output.name, output.shape, source.dtype, source.quantisation, source.data.reshape(output.shape)
            )
            graph.operators.remove(operator)
