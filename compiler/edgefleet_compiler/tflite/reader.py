"""TFLite bytes to lowered graph.

Reads every file that the converters of the last years wrote: operator codes that stand only in the deprecated field,
weights behind the FlatBuffer, one-dimensional tensors quantised along an axis they do not have, tensors without names
or with the same name. What the lowered graph cannot hold (several subgraphs, custom operators) is refused by name,
all at once. States, as SVDF keeps them, are tensors of their own.

The file is not copied: constants are read-only views of ``data``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ai_edge_litert import schema_py_generated as schema

from edgefleet_compiler.lowered.graph import AttributeValue, LoweredGraph, Operator
from edgefleet_compiler.refusal import Refusal
from edgefleet_compiler.tflite.flatfile import FlatFile, Position
from edgefleet_compiler.tflite.options import members, read_attributes
from edgefleet_compiler.tflite.refusal import refuse
from edgefleet_compiler.tflite.tensors import TensorReader
from edgefleet_contract.errors import ModelMalformed

_KINDS: Final = {number: kind for kind, number in members(schema.BuiltinOperator).items()}
_CONTROL_FLOW: Final = frozenset({"CALL", "CALL_ONCE", "IF", "WHILE"})
_SCHEMA_VERSION: Final = 3


def read_tflite(data: bytes) -> LoweredGraph:
    """The graph of a ``.tflite`` file.

    Tensors come in the order in which execution meets them; those that no operator uses are left behind. Inputs and
    outputs keep their names; other tensors keep theirs where unique, and get ``_1``, ``_2``, … otherwise. Dynamic
    batches are 1. An operator's ``source`` is the name of its first output.

    Args:
        data: The whole file.

    Returns:
        The graph; its constants are views of ``data``.

    Raises:
        ModelMalformed: The file is no TFLite model, is truncated or contradicts itself.
        OperatorUnsupported: The model has control flow, custom operators, or element types that the lowered graph does
            not hold.
    """
    flat = FlatFile(data)
    try:
        return _read(flat)
    except (struct.error, ValueError, TypeError, OverflowError) as error:
        # What flatbuffers and numpy raise on offsets, lengths and strings that are not what they should be. They tell
        # of Python's calls, not of the file.
        raise ModelMalformed(
            f"The TFLite file of {len(data)} bytes is truncated or damaged: an offset, length or text is impossible",
            remedy="Fetch or convert the model again.",
        ) from error


@dataclass(frozen=True)
class _Record:
    """An operator of the file whose tensors are still numbers; -1 is an optional input left out."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    table: Any


def _read(flat: FlatFile) -> LoweredGraph:
    model = flat.table(schema.Model.GetRootAs(flat.data), "root table")
    if model.Version() != _SCHEMA_VERSION:
        raise ModelMalformed(f"The TFLite file has schema version {model.Version()}", expected=f"{_SCHEMA_VERSION}")
    subgraph = flat.table(model.Subgraphs(0), "subgraph")
    inputs = flat.integers(subgraph.InputsAsNumpy())
    outputs = flat.integers(subgraph.OutputsAsNumpy())
    if not inputs or not outputs:
        raise ModelMalformed(f"The TFLite model has {len(inputs)} inputs and {len(outputs)} outputs", expected="both")
    records = list(_records(flat, model, subgraph))
    tensors = TensorReader(flat, model, subgraph)
    tensors.name_all(inputs, outputs, _uses(inputs, records, outputs))
    refuse(
        [
            *_unsupported_subgraphs(flat, model),
            *_unsupported_inputs(inputs, tensors),
            *_unsupported_outputs(outputs, tensors),
            *_unsupported_operators(records, tensors),
        ]
    )
    return _assemble(flat, inputs, outputs, records, tensors)


def _records(flat: FlatFile, model: Any, subgraph: Any) -> Iterator[_Record]:
    kinds = [
        _kind(flat, flat.table(model.OperatorCodes(index), "operator code"))
        for index in range(model.OperatorCodesLength())
    ]
    for index in range(subgraph.OperatorsLength()):
        table = flat.table(subgraph.Operators(index), "operator")
        if not 0 <= table.OpcodeIndex() < len(kinds):
            raise ModelMalformed(
                f"Operator {index} of the TFLite file has the code number {table.OpcodeIndex()}",
                expected=f"one of the {len(kinds)} operator codes",
            )
        kind = kinds[table.OpcodeIndex()]
        if not table.OutputsLength():
            raise ModelMalformed(f"Operator {index} of the TFLite file, {kind}, has no output")
        yield _Record(kind, flat.integers(table.InputsAsNumpy()), flat.integers(table.OutputsAsNumpy()), table)


def _kind(flat: FlatFile, code: Any) -> str:
    """The name of an operator code.

    Before 2021 the code stood in one signed byte, now called deprecated; converters since write both fields.
    """
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = _KINDS.get(number, f"BUILTIN {number}")
    return f"CUSTOM {flat.text(code.CustomCode())}" if kind == "CUSTOM" else kind


def _uses(inputs: list[int], records: list[_Record], outputs: list[int]) -> Iterator[int]:
    """Tensor numbers as execution meets them, with repetitions."""
    yield from inputs
    for record in records:
        yield from (index for index in record.inputs if index != -1)
        yield from record.outputs
    yield from outputs


def _unsupported_subgraphs(flat: FlatFile, model: Any) -> Iterator[Refusal]:
    for index in range(1, model.SubgraphsLength()):
        name = flat.text(flat.table(model.Subgraphs(index), "subgraph").Name()) or f"subgraph {index}"
        yield Refusal(name, "SUBGRAPH", "a model has to be a single subgraph")


def _unsupported_inputs(inputs: list[int], tensors: TensorReader) -> Iterator[Refusal]:
    for index in inputs:
        if reason := tensors.why_unsupported(index) or tensors.why_open(index):
            yield Refusal(tensors.name(index), "INPUT", reason)


def _unsupported_outputs(outputs: list[int], tensors: TensorReader) -> Iterator[Refusal]:
    for index in outputs:
        if reason := tensors.why_unsupported(index):
            yield Refusal(tensors.name(index), "OUTPUT", reason)


def _unsupported_operators(records: list[_Record], tensors: TensorReader) -> Iterator[Refusal]:
    for record in records:
        operands = [index for index in (*record.inputs, *record.outputs) if index != -1]
        reason = _why_unsupported(record) or next(filter(None, map(tensors.why_unsupported, operands)), None)
        if any(map(tensors.is_state, record.outputs)):
            reason = reason or "its output is a state, which operators only read and change in place"
        if reason:
            yield Refusal(tensors.name(record.outputs[0]), record.kind, reason)


def _why_unsupported(record: _Record) -> str | None:
    """Why the lowered graph cannot hold this operator, whatever its tensors; None when it can."""
    if record.kind.startswith("CUSTOM"):
        return "custom operators are not compiled"
    if record.kind.startswith("BUILTIN"):
        return "the operator is newer than the schema"
    if record.kind in _CONTROL_FLOW:
        return "control flow is not compiled"
    if record.kind.startswith("STABLEHLO") or record.table.BuiltinOptions2Type():
        return "StableHLO operators are not compiled"
    if record.table.IntermediatesLength():
        return "operators with intermediate tensors are not compiled"
    return None


def _assemble(
    flat: FlatFile, inputs: list[int], outputs: list[int], records: list[_Record], tensors: TensorReader
) -> LoweredGraph:
    graph = LoweredGraph()

    def write(index: int) -> str:
        tensor = tensors.activation(index)
        if tensor.name in graph.tensors:
            raise ModelMalformed(f"Tensor {tensor.name!r} of the TFLite file is written twice")
        return graph.add_tensor(tensor)

    def read(index: int) -> str:
        name = tensors.name(index)
        if name not in graph.tensors:
            graph.add_tensor(tensors.constant(index))
        return name

    graph.inputs = [write(index) for index in inputs]
    for record in records:
        operands = [None if index == -1 else read(index) for index in record.inputs]
        results = [write(index) for index in record.outputs]
        graph.operators.append(Operator(record.kind, operands, results, _attributes(flat, record), results[0]))
    graph.outputs = [read(index) for index in outputs]
    return graph


def _attributes(flat: FlatFile, record: _Record) -> dict[str, AttributeValue]:
    union_type = record.table.BuiltinOptionsType()
    if not union_type:
        return {}
    position = flat.table(Position(record.table.BuiltinOptions()), f"{record.kind} options table")
    attributes = read_attributes(record.kind, union_type, position)
    flat.spend(sum(len(value) if isinstance(value, list) else 1 for value in attributes.values()))
    return attributes
