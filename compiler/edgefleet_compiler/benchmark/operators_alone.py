"""Each operator of a TFLite model in a model of its own, with the real shapes, parameters and weights.

LiteRT's Python interface has no times per operator. What an operator costs alone is not what it costs in its model:
caches are warm, and delegates fuse nothing across operators. It tells where the time goes all the same. What calling a
model costs is measured on a small one, and subtracted from each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgefleet_compiler.benchmark.subject import Model, in_memory, random_inputs
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_contract.errors import EdgefleetError, ModelMalformed

_NAMELESS = re.compile(r"tensor_\d+")  # what the reader calls tensors without a name
Token = tuple[str, tuple[int, ...]]  # an operator's kind and the shape of its first output


@dataclass(frozen=True)
class OperatorAlone:
    """An operator in a model of its own.

    Attributes:
        kind: As TFLite calls it.
        token: Kind and shape, by which it is found in the source.
        name: Of what it computes, in the file; None where the file has no names inside.
        model: The model.
    """

    kind: str
    token: Token
    name: str | None
    model: Model


def operators_alone(artifact: Model) -> tuple[list[OperatorAlone], list[str]]:
    """The operators of a model in order of execution; none of an ONNX model, or of one that we cannot read.

    Returns:
        The operators, and what a person should know of those that do not run alone.
    """
    if artifact.format != "tflite":
        return [], []
    from edgefleet_compiler.tflite.reader import read_tflite  # noqa: PLC0415 - loads a large schema

    try:
        graph = read_tflite(artifact.data)
    except EdgefleetError as error:  # LiteRT runs more than we read: whole inferences are measured then
        return [], [f"The operators cannot be measured one by one: {error.seen}."]
    return operators_of(graph)


def operators_of(graph: LoweredGraph) -> tuple[list[OperatorAlone], list[str]]:
    """The operators of a graph, and what a person should know; as ``operators_alone``."""
    running: list[OperatorAlone] = []
    left_out: list[OperatorAlone] = []
    for operator in graph.operators:
        if _fed(operator, graph):
            alone = _alone(operator, graph)
            (running if _runs(alone) else left_out).append(alone)
    kinds = ", ".join(sorted({operator.kind for operator in left_out}))
    return running, [f"Operators that do not run alone on random inputs are left out: {kinds}."] if left_out else []


def token_of(operator: Operator, graph: LoweredGraph) -> Token:
    """What an operator and its counterpart in another scheme have in common."""
    return operator.kind, graph.tensors[operator.outputs[0]].shape


def _fed(operator: Operator, graph: LoweredGraph) -> list[str]:
    """The inputs of an operator that its model has to be fed: neither constants nor its own state."""
    operands = dict.fromkeys(name for name in operator.inputs if name is not None)
    return [name for name in operands if not (graph.tensors[name].is_constant or graph.tensors[name].variable)]


def _runs(operator: OperatorAlone) -> bool:
    """Whether an operator runs; one whose input is a shape does not take any."""
    try:
        runner = open_runner(operator.model.data, "tflite")
        runner.infer(random_inputs(runner))
    except (ModelMalformed, RuntimeError, ValueError):
        return False
    return True


def _alone(operator: Operator, graph: LoweredGraph) -> OperatorAlone:
    from edgefleet_compiler.tflite.writer import write_tflite  # noqa: PLC0415 - loads a large schema

    alone = LoweredGraph(
        tensors={name: graph.tensors[name] for name in (*operator.inputs, *operator.outputs) if name is not None},
        operators=[operator],
        inputs=_fed(operator, graph),
        outputs=list(operator.outputs),
    )
    name = None if _NAMELESS.fullmatch(operator.source) else operator.source
    return OperatorAlone(operator.kind, token_of(operator, graph), name, in_memory(write_tflite(alone), "tflite"))
