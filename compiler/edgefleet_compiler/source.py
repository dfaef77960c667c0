"""The source model: its file, its simplified float hub, and what it takes and gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import byte_size, dtype_of, integers, name_of, shape_of
from edgefleet_compiler.hub.pairs import activation_types, has_pairs, repeat_pairs_at_border, without_rounding
from edgefleet_compiler.importers import ModelFile, import_model, read_model
from edgefleet_compiler.keeping import Quantised
from edgefleet_compiler.lift import lift
from edgefleet_compiler.lowered.border import has_real_border
from edgefleet_compiler.lowered.costs import weights_bytes
from edgefleet_compiler.lowered.graph import LoweredGraph, Tensor
from edgefleet_compiler.naming import naming
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.record import PassRecord
from edgefleet_compiler.tensors import Sample, TensorInfo, guess_axes
from edgefleet_compiler.tflite.repair import repaired

_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Hubs:
    """The forms of a source on which accuracy is traded.

    Attributes:
        real: The float hub in its normal form; of a quantised source, what its integers stand for.
        quantised: The same with the source's own QDQ pairs; None for a float source.
        passes: What simplification did.
    """

    real: ir.Model
    quantised: ir.Model | None
    passes: tuple[PassRecord, ...]


@dataclass(frozen=True)
class Source:
    """What a compilation starts from.

    Attributes:
        file: The model file.
        sha256: Of the file; of a SavedModel, of the list of its files' digests.
        hybrid: Whether integer constants feed float operators, whose kernels then round activations on the fly.
        quantised: What a recipe has to know of a source that is quantised already; None for float ones.
        lowered: A TFLite source that is quantised already: it may leave as TFLite without ever being a hub.
        inputs: In the order of the source. Where they are quantised, real values are meant.
        outputs: In the order of the source; real values, too.
        make_hubs: Makes the hubs when first asked for one.
    """

    file: ModelFile
    sha256: str
    hybrid: bool
    quantised: Quantised | None
    lowered: LoweredGraph | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    make_hubs: Callable[[], Hubs]

    @cached_property
    def hubs(self) -> Hubs:
        """All forms of the hub.

        Raises:
            OperatorUnsupported: A quantised TFLite source has operators that the hub does not take.
        """
        with naming(self.file.path):
            return self.make_hubs()

    @property
    def hub(self) -> ir.Model:
        """The float hub in its normal form."""
        return self.hubs.real

    @property
    def rest(self) -> Sample:
        """What the hub's states, which are inputs of their own, hold before the first inference; by name."""
        given = {tensor.name for tensor in self.inputs}
        states = [value for value in self.hub.graph.inputs if name_of(value) not in given]
        return {name_of(value): np.zeros(shape_of(value), dtype_of(value).numpy()) for value in states}

    @property
    def passes(self) -> tuple[PassRecord, ...]:
        """What simplification did; nothing where no hub was needed so far."""
        return self.hubs.passes if "hubs" in self.__dict__ else ()

    @cached_property
    def runnable(self) -> bytes:
        """What the source's own runtime loads: the file, without what only TFLite Micro tolerates in it."""
        return (None if self.lowered is None else repaired(self.file.runnable)) or self.file.runnable

    @property
    def weights_bytes(self) -> int:
        """Constants of the hub, or of the quantised file."""
        if self.lowered is not None:
            return weights_bytes(self.lowered)
        hub = self.hubs.quantised or self.hub
        return sum(byte_size(value) for value in hub.graph.initializers.values())

    @property
    def stores_narrower(self) -> bool:
        """Whether the file has its constants in fewer bytes than the hub: as integers, or in 16 bits."""
        return self.hybrid or self.weights_bytes > len(self.file.runnable)


def load_source(path: Path, *, input_shapes: Mapping[str, tuple[int, ...]]) -> Source:
    """Import and simplify a model file.

    Raises:
        ModelNotFound: There is no file at ``path``.
        ModelMalformed: No model, or a truncated or contradictory one.
        OperatorUnsupported: Operators that the hub does not take.
    """
    with naming(path):
        file = read_model(path, input_shapes=input_shapes)
        imported = import_model(file, input_shapes=input_shapes)
        if imported.lowered is not None:
            return _kept_source(file, imported.lowered)
        hubs = _hubs_of(imported.hub())
    graph = hubs.real.graph
    return Source(
        file=file,
        sha256=_sha256(file),
        hybrid=imported.hybrid,
        quantised=None if hubs.quantised is None else Quantised("onnx", activation_types(hubs.quantised), True),
        lowered=None,
        inputs=tuple(_describe(value, _input_axes(value, file.format)) for value in graph.inputs),
        outputs=tuple(_describe(value, _output_axes(value, file.format)) for value in graph.outputs),
        make_hubs=lambda: hubs,
    )


def _hubs_of(model: ir.Model) -> Hubs:
    """The hubs of a raw one."""
    records = tuple(simplify(model))
    if not has_pairs(model):
        return Hubs(model, None, records)
    real = without_rounding(model)
    repeat_pairs_at_border(model)  # of integers only: what they saturate they saturate once
    return Hubs(real, model, records)


def _kept_source(file: ModelFile, lowered: LoweredGraph) -> Source:
    """A quantised TFLite file, whose hubs are made when one is needed."""

    def real(name: str) -> TensorInfo:
        tensor = lowered.tensors[name]
        dtype = tensor.dtype if tensor.quantisation is None else np.dtype(np.float32)
        return TensorInfo(name, tensor.shape, dtype, guess_axes(tensor.shape, file.format), reach=_reach(tensor))

    return Source(
        file=file,
        sha256=_sha256(file),
        hybrid=False,
        quantised=Quantised("tflite", _activation_types(lowered), has_real_border(lowered)),
        lowered=lowered,
        inputs=tuple(map(real, lowered.inputs)),
        outputs=tuple(map(real, lowered.outputs)),
        make_hubs=lambda: _hubs_of(lift(lowered)),
    )


def _reach(tensor: Tensor) -> tuple[float, float] | None:
    if tensor.quantisation is None:
        return None
    limits = np.iinfo(tensor.dtype)  # type: ignore[type-var]  # only integers are quantised
    scale, zero_point = float(tensor.quantisation.scale[0]), int(tensor.quantisation.zero_point[0])
    return scale * (limits.min - zero_point), scale * (limits.max - zero_point)


def _activation_types(graph: LoweredGraph) -> tuple[str, ...]:
    """The narrow integers that activations are stored as, border included."""
    types = {str(tensor.dtype) for tensor in graph.tensors.values() if tensor.quantisation and not tensor.is_constant}
    return tuple(sorted(types & {"int8", "int16"}))


def _sha256(file: ModelFile) -> str:
    return hashlib.sha256(file.data).hexdigest()


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
