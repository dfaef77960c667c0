"""Which node of the source an operator of the artifact came from.

Artifacts carry no names inside, which would only take space. Compiling keeps the order, so that the source, imported
once more, has the same operators but for what quantising puts in or takes away. Where it has not, no name is given: a
wrong one is worse.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from edgefleet_compiler.benchmark.operators_alone import OperatorAlone, token_of
from edgefleet_compiler.exports import lowered_for_costs
from edgefleet_compiler.lowered.optimise import optimise
from edgefleet_contract.errors import OperatorUnsupported

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgefleet_compiler.benchmark.subject import Subject
    from edgefleet_compiler.lowered.graph import LoweredGraph
    from edgefleet_compiler.source import Source

# What quantising puts in or takes away: the borders of integers and floats, and of axis orders, and activations, which
# the saturation of the integers before them replaces.
_INCONSTANT = frozenset(
    {"QUANTIZE", "DEQUANTIZE", "TRANSPOSE", "QuantizeLinear", "DequantizeLinear", "Transpose", "Relu", "Clip"}
)


def align_sources(subject: Subject, operators: Sequence[OperatorAlone]) -> list[str | None]:
    """For each operator of a TFLite artifact, the name of the source's node, or else the one that it has in its file.

    Args:
        subject: Has the source, where it is known.
        operators: Of the artifact.
    """
    lowered = None if subject.source is None else _lowered(subject.source)
    if lowered is None:
        return [operator.name for operator in operators]
    named = [(token_of(operator, lowered), operator.source) for operator in lowered.operators]
    aligned = align([operator.token for operator in operators], named)
    return [source or operator.name for source, operator in zip(aligned, operators, strict=True)]


def sources_of_onnx(subject: Subject) -> list[str | None]:
    """For each node of an ONNX artifact, its own name, or that of the node of the source that it came from."""
    import onnx  # noqa: PLC0415 - heavy, and only for ONNX

    from edgefleet_compiler.checks.onnx_nodes import layers_of_nodes  # noqa: PLC0415 - as above

    graph = onnx.load_model_from_string(subject.artifact.data).graph
    hub = None if subject.source is None else _hub(subject.source)
    layers: Sequence[str | None] = [None] * len(graph.node) if hub is None else layers_of_nodes(graph, hub)
    return [node.name or layer for node, layer in zip(graph.node, layers, strict=True)]


def align(
    tokens: Sequence[tuple[str, Hashable]], named: Sequence[tuple[tuple[str, Hashable], str]]
) -> list[str | None]:
    """Names for a sequence from a sequence that is equal to it but for what quantising puts in or takes away.

    Args:
        tokens: Of each operator.
        named: Token and name of each operator of the source.

    Returns:
        A name, or None, for each of ``tokens``; only None where the sequences differ.
    """
    inner = [index for index, token in enumerate(tokens) if token[0] not in _INCONSTANT]
    inner_named = [(token, name) for token, name in named if token[0] not in _INCONSTANT]
    names: list[str | None] = [None] * len(tokens)
    if [tokens[index] for index in inner] == [token for token, _ in inner_named]:
        for index, (_, name) in zip(inner, inner_named, strict=True):
            names[index] = name
    return names


def _lowered(source: Source) -> LoweredGraph | None:
    """The source as operators of TFLite, optimised as artifacts are; None where it has others."""
    if source.lowered is not None:
        graph = deepcopy(source.lowered)
        optimise(graph)
        return graph
    try:
        return lowered_for_costs(source.hub, io="float", io_layout="source")
    except OperatorUnsupported:
        return None


def _hub(source: Source) -> ir.Model | None:
    """The float hub; None where there is no such one."""
    try:
        return source.hub
    except OperatorUnsupported:
        return None
