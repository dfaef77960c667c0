"""Lowered graph to TFLite bytes: compact, and the same bytes for the same graph.

Tensors, buffers and operator codes are numbered as execution meets them, so that files which differ only in the order
of their parts become the same file; tensors the other way round where TFLite Micro then needs less RAM. Nothing that
runtimes do not read is written: no signatures, no names but those of inputs and outputs, and of metadata only where
tensors are to lie in RAM, if TFLite Micro would not find that by itself. Bias scales
follow from input and weights and are written all the same: without them XNNPACK leaves the convolutions to slower
kernels that round differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgefleet_compiler.four_bits import INT4, packed
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Quantisation, Tensor
from edgefleet_compiler.lowered.memory import plan_memory
from edgefleet_compiler.tflite.builder import InterningBuilder, vector_of_int32
from edgefleet_compiler.tflite.element_types import number_of
from edgefleet_compiler.tflite.flatfile import IDENTIFIER
from edgefleet_compiler.tflite.options import members, options_object
from edgefleet_compiler.tflite.versions import operator_version

_CODES: Final = members(schema.BuiltinOperator)
_SCHEMA_VERSION: Final = 3
_PLAN_NAME: Final = "OfflineMemoryAllocation"
_PLAN_VERSION: Final = 1


def write_tflite(graph: LoweredGraph) -> bytes:
    """The graph as a ``.tflite`` file.

    Args:
        graph: Its operators' kinds and attributes are those of the schema; tensors that no operator uses and that are
            neither input nor output are left out.

    Returns:
        The file. Operators declare the least versions that run them.

    Raises:
        ValueError: A kind, attribute or element type that TFLite does not have, or an operator that lacks operands.
    """
    return _Writer(graph).file()


class _Writer:
    """Writes one graph: back to front, as FlatBuffers are, so that offsets point at what is there already."""

    def __init__(self, graph: LoweredGraph) -> None:
        self._graph = graph
        self._builder = InterningBuilder()
        names = list(dict.fromkeys(_uses(graph)))
        self._plan = plan_memory(graph)
        if self._plan.backwards:
            names.reverse()
        self._tensors = {name: number for number, name in enumerate(names)}
        self._codes: dict[tuple[str, int], int] = {}
        # Buffer 0 is empty by convention: activations have it.
        self._buffers: dict[bytes, int] = {b"": 0}

    def file(self) -> bytes:
        graph, builder = self._graph, self._builder
        builder.lay(self._contents(), self._vectors())
        tensors = [self._tensor(graph.tensors[name]) for name in self._tensors]
        operators = [self._operator(operator) for operator in graph.operators]
        subgraph = builder.table(
            "SubGraph",
            Tensors=builder.tables(tensors),
            Inputs=self._numbers(graph.inputs),
            Outputs=self._numbers(graph.outputs),
            Operators=builder.tables(operators),
        )
        metadata = {"Metadata": builder.tables([self._arena()])} if self._plan.in_file else {}
        root = builder.table(
            "Model",
            **metadata,
            Version=_SCHEMA_VERSION,
            OperatorCodes=builder.tables([self._operator_code(*code) for code in self._codes]),
            Subgraphs=builder.tables([subgraph]),
            Buffers=builder.tables([self._buffer(content) for content in self._buffers]),
        )
        return builder.finish(root, IDENTIFIER)

    def _arena(self) -> int:
        """Where tensors are to lie in RAM, as tflite-micro's ``docs/memory_management.md`` has it; -1 for constants."""
        offsets = [self._plan.offsets.get(name, -1) for name in self._tensors]
        content = vector_of_int32([_PLAN_VERSION, 1, len(offsets), *offsets]).tobytes()
        number = self._buffers.setdefault(content, len(self._buffers))
        return self._builder.table("Metadata", Name=self._builder.text(_PLAN_NAME), Buffer=number)

    def _contents(self) -> Iterator[bytes]:
        """What buffers hold."""
        return (content for name in self._tensors if (content := _content(self._graph.tensors[name])))

    def _vectors(self) -> Iterator[NDArray[Any]]:
        """Vectors of 4-byte numbers that tensors and operators need."""
        for name in self._tensors:
            tensor = self._graph.tensors[name]
            yield vector_of_int32(tensor.shape)
            if tensor.quantisation is not None:
                yield _scales(tensor.quantisation)
        for operator in self._graph.operators:
            yield self._numbers_of(operator.inputs)
            yield self._numbers_of(operator.outputs)

    def _tensor(self, tensor: Tensor) -> int:
        content = _content(tensor)
        number = self._buffers.setdefault(content, len(self._buffers))
        self._buffer(content)
        fields = {"Shape": self._builder.vector(vector_of_int32(tensor.shape)), "Buffer": number}
        if tensor.quantisation is not None:
            fields["Quantization"] = self._quantisation(tensor.quantisation)
        if tensor.name in self._graph.inputs or tensor.name in self._graph.outputs:
            fields["Name"] = self._builder.text(tensor.name)
        if tensor.variable:
            fields["IsVariable"] = 1
        return self._builder.table("Tensor", **fields, Type=number_of(tensor.dtype))

    def _buffer(self, content: bytes) -> int:
        if not content:
            return self._builder.table("Buffer")
        return self._builder.table("Buffer", Data=self._builder.data(content))

    def _quantisation(self, quantisation: Quantisation) -> int:
        return self._builder.table(
            "QuantizationParameters",
            Scale=self._builder.vector(_scales(quantisation)),
            ZeroPoint=self._builder.vector(quantisation.zero_point.astype("<i8")),
            QuantizedDimension=quantisation.axis,
        )

    def _operator(self, operator: Operator) -> int:
        code = (operator.kind, operator_version(operator, self._graph))
        fields = {
            "Inputs": self._numbers(operator.inputs),
            "Outputs": self._numbers(operator.outputs),
            "OpcodeIndex": self._codes.setdefault(code, len(self._codes)),
        }
        options = options_object(operator.kind, operator.attributes)
        if options is not None:
            fields["BuiltinOptions"] = self._builder.packed(options[1])
            fields["BuiltinOptionsType"] = options[0]
        return self._builder.table("Operator", **fields)

    def _operator_code(self, kind: str, version: int) -> int:
        if kind not in _CODES:
            raise ValueError(f"TFLite has no operator {kind!r}")
        number = _CODES[kind]
        # Readers from before 2021 know only the signed byte, where 127 stands for "see builtin_code".
        old = min(number, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
        return self._builder.table("OperatorCode", BuiltinCode=number, Version=version, DeprecatedBuiltinCode=old)

    def _numbers(self, names: list[str] | list[str | None]) -> int:
        """The offset of these tensors' numbers."""
        return self._builder.vector(self._numbers_of(names))

    def _numbers_of(self, names: list[str] | list[str | None]) -> NDArray[np.int32]:
        """The numbers of tensors; -1 stands for an optional input left out."""
        return vector_of_int32([-1 if name is None else self._tensors[name] for name in names])


def _content(tensor: Tensor) -> bytes:
    if tensor.data is None:
        return b""
    return (packed(tensor.data) if tensor.dtype == INT4 else np.ascontiguousarray(tensor.data)).tobytes()


def _scales(quantisation: Quantisation) -> NDArray[np.float32]:
    return quantisation.scale.astype("<f4")


def _uses(graph: LoweredGraph) -> Iterator[str]:
    """Tensor names as execution meets them, with repetitions."""
    yield from graph.inputs
    for operator in graph.operators:
        yield from (name for name in operator.inputs if name is not None)
        yield from operator.outputs
    yield from graph.outputs
