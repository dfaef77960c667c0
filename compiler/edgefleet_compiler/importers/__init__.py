"""Importers: a model file in, the raw hub out. One source format, one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgefleet_contract.errors import ModelMalformed, ModelNotFound

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgefleet_compiler.lowered.graph import LoweredGraph

_MODEL_LIMIT = 2**31 - 1  # bytes: the limit of protobuf and of flatbuffers alike
_TFLITE_IDENTIFIER = slice(4, 8), b"TFL3"  # schema.fbs: file_identifier
_FOREIGN = {b"\x89HDF": "a Keras .h5 file", b"PK\x03\x04": "a zip archive, as Keras .keras files are"}


@dataclass(frozen=True)
class ModelFile:
    """A model file that has been read, and not yet understood.

    Attributes:
        path: Where it lies.
        format: By its contents, not by its name.
        data: Its bytes.
        runnable: The bytes that its runtime loads: the file itself, or the file with its external data inside.
    """

    path: Path
    format: Literal["onnx", "tflite"]
    data: bytes
    runnable: bytes


@dataclass(frozen=True)
class Imported:
    """What came of a model file: a raw hub, or a TFLite graph that is quantised already.

    Attributes:
        model: The raw hub; None where there is ``lowered``.
        lowered: A graph that needs no hub to leave as TFLite, int8 throughout.
        hybrid: Whether integer constants feed float operators, whose kernels then round activations on the fly.
    """

    model: ir.Model | None = None
    lowered: LoweredGraph | None = None
    hybrid: bool = False

    def hub(self) -> ir.Model:
        """The raw hub of a file that is no quantised TFLite."""
        assert self.model is not None
        return self.model


def read_model(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelNotFound: There is no file at ``path``.
        ModelMalformed: It cannot be read, or is of a known format that this is no importer for.
    """
    data = _read(path)
    where, identifier = _TFLITE_IDENTIFIER
    if data[where] == identifier or path.suffix == ".tflite":
        return ModelFile(path, "tflite", data, data)
    for magic, description in _FOREIGN.items():
        if data.startswith(magic):
            raise ModelMalformed(
                f"The file {str(path)!r} is {description}",
                expected="an .onnx or .tflite model",
                remedy="Export it to ONNX first.",
                path=str(path),
            )
    from edgefleet_compiler.importers.onnx_external import self_contained  # noqa: PLC0415 - loads the onnx package

    return ModelFile(path, "onnx", data, self_contained(data, path.parent))


def import_model(file: ModelFile, *, input_shapes: Mapping[str, tuple[int, ...]]) -> Imported:
    """Understand a model file.

    Args:
        file: The model.
        input_shapes: Shapes for inputs that an ONNX model leaves open, by name.

    Raises:
        ModelMalformed: No model, or a truncated or contradictory one.
        OperatorUnsupported: Operators that the hub does not take.
        UsageMalformed: ``input_shapes`` names what is not there, or an input stays open.
    """
    if file.format == "tflite":
        return _import_tflite(file.data)
    from edgefleet_compiler.importers.onnx import import_onnx  # noqa: PLC0415 - loads the onnx package

    return Imported(import_onnx(file.data, folder=file.path.parent, input_shapes=input_shapes))


def _import_tflite(data: bytes) -> Imported:
    from edgefleet_compiler.importers.tflite import import_tflite  # noqa: PLC0415 - loads a large schema
    from edgefleet_compiler.importers.tflite_quantised import import_quantised  # noqa: PLC0415 - as above
    from edgefleet_compiler.lowered.coherence import is_quantised  # noqa: PLC0415 - as above
    from edgefleet_compiler.tflite.reader import read_tflite  # noqa: PLC0415 - as above

    graph = read_tflite(data)
    if is_quantised(graph):
        return Imported(lowered=import_quantised(graph))
    hybrid = any(constant.quantisation is not None for constant in graph.constants())
    return Imported(import_tflite(data), hybrid=hybrid)


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ModelMalformed(f"{str(path)!r} is a folder", expected="an .onnx or .tflite file", path=str(path))
    try:
        size = path.stat().st_size
        if size > _MODEL_LIMIT:
            raise ModelMalformed(f"The model has {size} bytes", expected=f"at most {_MODEL_LIMIT}", path=str(path))
        data = path.read_bytes()
    except FileNotFoundError as cause:
        raise ModelNotFound(f"There is no model at {str(path)!r}", path=str(path)) from cause
    except OSError as cause:
        raise ModelMalformed(f"The model {str(path)!r} cannot be read: {cause.strerror}", path=str(path)) from cause
    if not data:
        raise ModelMalformed(f"The file {str(path)!r} is empty", expected="an .onnx or .tflite model", path=str(path))
    return data
