"""Importers: a model file in, the raw hub out. One source format, one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgefleet_compiler.importers.tensorflow.messages import TensorFlowFormat
from edgefleet_contract.errors import ModelCarriesCode, ModelMalformed, ModelNotFound

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgefleet_compiler.importers.tensorflow.sources import TensorFlowSource
    from edgefleet_compiler.lowered.graph import LoweredGraph

_MODEL_LIMIT = 2**31 - 1  # bytes: the limit of protobuf and of flatbuffers alike
_TFLITE_IDENTIFIER = slice(4, 8), b"TFL3"  # schema.fbs: file_identifier
_KERAS: dict[bytes, TensorFlowFormat] = {b"\x89HDF": "h5", b"PK\x03\x04": "keras"}  # signatures of HDF5 and zip
_PICKLES = {b"\x80" + bytes([protocol]) for protocol in range(2, 6)}  # PROTO and the protocol's number
_ZIP_HEAD = 300  # bytes: a local header and the name of the first member


@dataclass(frozen=True)
class ModelFile:
    """A model file that has been read, and not yet understood.

    Attributes:
        path: Where it lies.
        format: By its contents, not by its name.
        data: Its bytes; of a SavedModel the list of its files with their digests.
        size: Bytes of the file, or of all files of a SavedModel.
        runnable: The bytes that a runtime loads: the file itself, the file with its external data inside, or what
            TensorFlow made of it.
        runs_as: Their format.
    """

    path: Path
    format: Literal["onnx", "tflite"] | TensorFlowFormat
    data: bytes
    size: int
    runnable: bytes
    runs_as: Literal["onnx", "tflite"]


@dataclass(frozen=True)
class Imported:
    """What came of a model file: a raw hub, or a TFLite graph that is quantised already.

    Attributes:
        model: The raw hub; None where there is ``lowered``.
        lowered: A graph that needs no hub to leave as TFLite, whatever its integers.
        hybrid: Whether integer constants feed float operators, whose kernels then round activations on the fly.
    """

    model: ir.Model | None = None
    lowered: LoweredGraph | None = None
    hybrid: bool = False

    def hub(self) -> ir.Model:
        """The raw hub of a file that is no quantised TFLite."""
        assert self.model is not None
        return self.model


def read_model(path: Path, *, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> ModelFile:
    """Read a model file, or the folder of a SavedModel. Keras and SavedModel sources are converted on the way.

    Args:
        path: The file or folder.
        input_shapes: Shapes for inputs that the model leaves open, by name; for the sources that are converted.

    Raises:
        ModelNotFound: There is nothing at ``path``.
        ModelMalformed: It cannot be read.
        ModelCarriesCode: It is a pickle.
        EdgefleetError: It cannot be converted; ``tensorflow.process.convert`` tells the kinds.
    """
    if path.is_dir():
        from edgefleet_compiler.importers.tensorflow.sources import read_saved_model  # noqa: PLC0415 - rarely needed

        return _converted(path, read_saved_model(path), input_shapes or {})
    data = _read(path)
    where, identifier = _TFLITE_IDENTIFIER
    if data[where] == identifier or path.suffix == ".tflite":
        return ModelFile(path, "tflite", data, len(data), data, "tflite")
    _refuse_pickled(data)
    for signature, source_format in _KERAS.items():
        if data.startswith(signature):
            from edgefleet_compiler.importers.tensorflow.sources import keras_file  # noqa: PLC0415 - as above

            return _converted(path, keras_file(source_format, data), input_shapes or {})
    from edgefleet_compiler.importers.onnx_runnable import runnable  # noqa: PLC0415 - loads the onnx package

    return ModelFile(path, "onnx", data, len(data), runnable(data, path.parent), "onnx")


def import_model(file: ModelFile, *, input_shapes: Mapping[str, tuple[int, ...]]) -> Imported:
    """Understand a model file.

    Args:
        file: The model.
        input_shapes: Shapes for inputs that an ONNX model leaves open, by name. Sources of TensorFlow got theirs when
            they were read.

    Raises:
        ModelMalformed: No model, or a truncated or contradictory one.
        OperatorUnsupported: Operators that the hub does not take.
        UsageMalformed: ``input_shapes`` names what is not there, or an input stays open.
    """
    if file.runs_as == "tflite":
        return _import_tflite(file.runnable)
    from edgefleet_compiler.importers.onnx import import_onnx  # noqa: PLC0415 - loads the onnx package

    return Imported(import_onnx(file.data, folder=file.path.parent, input_shapes=input_shapes))


def _converted(path: Path, source: TensorFlowSource, input_shapes: Mapping[str, tuple[int, ...]]) -> ModelFile:
    from edgefleet_compiler.importers.tensorflow.process import convert  # noqa: PLC0415 - loads a runtime

    runnable = convert(source, input_shapes=input_shapes)
    return ModelFile(path, source.format, source.identity, source.size, runnable, "tflite")


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


def _refuse_pickled(data: bytes) -> None:
    """Refuse what PyTorch saves: a pickle, or a zip whose first member is one. Neither holds a graph."""
    if data[:2] in _PICKLES or (data.startswith(b"PK") and b"/data.pkl" in data[:_ZIP_HEAD]):
        raise ModelCarriesCode(
            "The file is pickled Python, as PyTorch saves models: reading it runs code, and it holds no graph",
            expected="a model that was exported",
            remedy="Export it with torch.onnx.export(model, (example,), 'model.onnx', dynamo=True), and compile that.",
        )


def _read(path: Path) -> bytes:
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
        raise ModelMalformed(f"The file {str(path)!r} is empty", expected="a model", path=str(path))
    return data
