"""The source model: its file, its simplified float hub, and what it takes and gives."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgefleet_compiler.hub.graph import byte_size, dtype_of, integers, name_of, shape_of
from edgefleet_compiler.importers import ModelFile, import_model, read_model
from edgefleet_compiler.naming import naming
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.record import PassRecord
from edgefleet_compiler.tensors import TensorInfo, guess_axes

_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Source:
    """What a compilation starts from.

    Attributes:
        file: The model file.
        sha256: Of the file.
        hybrid: Whether integer constants feed float operators, whose kernels then round activations on the fly.
        hub: The float hub in its normal form.
        passes: What simplification did.
        inputs: In the order of the source.
        outputs: In the order of the source.
    """

    file: ModelFile
    sha256: str
    hybrid: bool
    hub: ir.Model
    passes: tuple[PassRecord, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    @property
    def weights_bytes(self) -> int:
        """Constants of the float hub."""
        return sum(byte_size(value) for value in self.hub.graph.initializers.values())

    @property
    def stores_narrower(self) -> bool:
        """Whether the file has its constants in fewer bytes than the float hub: as integers, or in 16 bits."""
        return self.hybrid or self.weights_bytes > len(self.file.runnable)


def load_source(path: Path, *, input_shapes: Mapping[str, tuple[int, ...]]) -> Source:
    """Import and simplify a model file.

    Raises:
        ModelNotFound: There is no file at ``path``.
        ModelMalformed: No model, or a truncated or contradictory one.
        OperatorUnsupported: Operators that the hub does not take.
    """
    with naming(path):
        file = read_model(path)
        imported = import_model(file, input_shapes=input_shapes)
        records = simplify(imported.model)
    graph = imported.model.graph
    return Source(
        file=file,
        sha256=hashlib.sha256(file.data).hexdigest(),
        hybrid=imported.hybrid,
        hub=imported.model,
        passes=tuple(records),
        inputs=tuple(_describe(value, _input_axes(value, file.format)) for value in graph.inputs),
        outputs=tuple(_describe(value, _output_axes(value, file.format)) for value in graph.outputs),
    )


def _describe(value: ir.Value, axes: str) -> TensorInfo:
    return TensorInfo(name_of(value), shape_of(value), dtype_of(value).numpy(), axes)


def _input_axes(value: ir.Value, source_format: str) -> str:
    """Names of a 4-D input's axes: in the normal form an NHWC input is followed by the one Transpose to NCHW."""
    if len(shape_of(value)) != 4:
        return ""
    permutations = {_permutation(node) for node in value.consumers()}
    return "NHWC" if _TO_NCHW in permutations else guess_axes(shape_of(value), source_format)


def _output_axes(value: ir.Value, source_format: str) -> str:
    if len(shape_of(value)) != 4:
        return ""
    producer = value.producer()
    if producer is not None and _permutation(producer) == _TO_NHWC:
        return "NHWC"
    return guess_axes(shape_of(value), source_format)


def _permutation(node: ir.Node) -> tuple[int, ...] | None:
    return integers(node, "perm") if node.op_type == "Transpose" else None
