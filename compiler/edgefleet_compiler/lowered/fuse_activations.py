"""A clamp is done by the operator before it, which clamps its result anyway (``fused_activation_function``)."""

from __future__ import annotations

from edgefleet_compiler.lowered.editing import readers, writers
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, same_parameters

CLAMPS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
FUSING = frozenset(
    {"ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "FULLY_CONNECTED", "MAX_POOL_2D", "MUL", "SUB"}
)


def fuse_activations(graph: LoweredGraph) -> None:
    """Fuse every clamp whose input nobody else reads.

    On int8 both must have the same parameters; then clamping the rounded result by the quantised bounds is what the
    fused operator does, bit for bit.
    """
    read_by, written_by = readers(graph), writers(graph)
    fused = []
    for operator in graph.operators:
        if operator.kind not in CLAMPS:
            continue
        source = str(operator.inputs[0])
        producer = written_by.get(source)
        if producer is not None and len(read_by[source]) == 1 and _may_fuse(graph, producer, operator):
            producer.attributes["fused_activation_function"] = operator.kind
            producer.outputs = operator.outputs
            written_by[operator.outputs[0]] = producer
            del graph.tensors[source]
            fused.append(operator)
    graph.operators = [operator for operator in graph.operators if operator not in fused]


def _may_fuse(graph: LoweredGraph, producer: Operator, clamp: Operator) -> bool:
    before, after = graph.tensors[producer.outputs[0]], graph.tensors[clamp.outputs[0]]
    return (
        producer.kind in FUSING
        and producer.attributes.get("fused_activation_function", "NONE") == "NONE"
        and before.name not in graph.outputs
        and same_parameters(before.quantisation, after.quantisation)
    )
