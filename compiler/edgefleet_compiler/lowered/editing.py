"""What the passes over a lowered graph share: who reads and writes a tensor, and taking an operator out."""

from __future__ import annotations

from collections import defaultdict

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, same_parameters


def readers(graph: LoweredGraph) -> dict[str, list[Operator]]:
    """The operators that read each tensor, in execution order."""
    found: dict[str, list[Operator]] = defaultdict(list)
    for operator in graph.operators:
        for name in dict.fromkeys(operator.inputs):
            if name is not None:
                found[name].append(operator)
    return found


def writers(graph: LoweredGraph) -> dict[str, Operator]:
    """The operator that writes each tensor; inputs and constants have none."""
    return {name: operator for operator in graph.operators for name in operator.outputs}


def keeps_parameters(graph: LoweredGraph, operator: Operator) -> bool:
    """Whether an operator that moves elements leaves them the reals that they are: kernels move integers as such."""
    source, output = graph.tensors[str(operator.inputs[0])], graph.tensors[operator.outputs[0]]
    return source.dtype == output.dtype and same_parameters(source.quantisation, output.quantisation)


def bypass(graph: LoweredGraph, operator: Operator) -> bool:
    """Take out an operator whose output is its first input; its readers read that input instead.

    Returns:
        False, with nothing done, where the operator stands between two tensors that both must stay: it copies an
        input, a constant or another output to an output.
    """
    source, (output,) = operator.inputs[0], operator.outputs
    assert source is not None
    if output in graph.outputs:
        if source in graph.inputs or source in graph.outputs or graph.tensors[source].is_constant:
            return False
        source, output = output, source  # the output's name stays, and what wrote the source writes it
    graph.operators = [other for other in graph.operators if other is not operator]
    for other in graph.operators:
        other.inputs = [source if name == output else name for name in other.inputs]
        other.outputs = [source if name == output else name for name in other.outputs]
    del graph.tensors[output]
    return True
