"""When each activation of a lowered graph holds a value, and how large it is."""

from __future__ import annotations

from edgefleet_compiler.four_bits import stored_bytes
from edgefleet_compiler.lowered.graph import LoweredGraph, Tensor


def lifetimes(graph: LoweredGraph) -> dict[str, tuple[int, int]]:
    """First and last step of each activation but state, in the order in which they are first written.

    Step 0 writes the graph's inputs; step ``i`` runs operator ``i`` (from 1), which reads and writes; the graph's
    outputs are read after the last.
    """
    last_step = len(graph.operators)
    spans = dict.fromkeys(graph.inputs, (0, 0))
    for step, operator in enumerate(graph.operators, start=1):
        for name in operator.outputs:
            spans[name] = (step, step)
        for operand in operator.inputs:
            if operand in spans:
                spans[operand] = (spans[operand][0], step)
    for name in graph.outputs:
        if name in spans:
            spans[name] = (spans[name][0], last_step)
    return spans


def widened_constants(graph: LoweredGraph) -> set[str]:
    """The tensors that are constants stored in fewer bits, widened: computed once, when a runtime loads the model."""
    return {
        operator.outputs[0]
        for operator in graph.operators
        if operator.kind == "DEQUANTIZE" and graph.tensors[operator.inputs[0] or ""].is_constant
    }


def tensor_bytes(tensor: Tensor) -> int:
    """How many bytes a tensor's elements take."""
    return stored_bytes(tensor.shape, tensor.dtype)
