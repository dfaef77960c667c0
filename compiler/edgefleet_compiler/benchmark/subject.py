"""What is benchmarked: a model file, a compiled folder or a bundle, and the float model beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.benchmark.record import ModelEntry
from edgefleet_compiler.checks.runtimes import Runner, open_runner
from edgefleet_compiler.exports import export
from edgefleet_compiler.importers import ModelFile, read_model
from edgefleet_compiler.naming import naming
from edgefleet_compiler.output import MARK
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import Source, load_source
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import EdgefleetError, ModelMalformed, ModelNotFound

_BUNDLE_SUFFIX = ".efb"
_SEED = 0
_REPORT_LIMIT = 64 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Model:
    """A model that can be run.

    Attributes:
        entry: What is said of it.
        data: The bytes that its runtime loads.
    """

    entry: ModelEntry
    data: bytes

    @property
    def format(self) -> Literal["tflite", "onnx"]:
        """The format, which says the runtime."""
        return "tflite" if self.entry.format == "tflite" else "onnx"


@dataclass(frozen=True)
class Subject:
    """What a benchmark is about.

    Attributes:
        artifact: What is measured.
        baseline: The float model in the same format; None where none was given or recorded.
        source: The model that the artifact was compiled from; None where it is not recorded or not there any more.
        warnings: What a person should know.
    """

    artifact: Model
    baseline: Model | None
    source: Source | None
    warnings: tuple[str, ...] = ()


class _File(msgspec.Struct):
    path: str
    format: str = ""
    sha256: str = ""


class _Report(msgspec.Struct):
    """What is needed of a ``report.json``."""

    source: _File
    artifact: _File | None


def open_subject(path: Path, against: Path | None) -> Subject:
    """Read what is to be benchmarked.

    Args:
        path: A ``.tflite`` or ``.onnx`` file, a folder that `edgefleet model compile` wrote for a target, or a bundle.
        against: The float model; None takes the source that a compiled folder records, if it is still the same file.

    Raises:
        ModelNotFound: Nothing at a path.
        ModelMalformed: No model, a folder without one, or a float model that takes or gives something else.
        BundleMalformed: No bundle.
        HashMismatch: A bundle whose artifact is not the one listed.
        OperatorUnsupported: The float model cannot be exported to the artifact's format.
    """
    if path.suffix == _BUNDLE_SUFFIX:
        artifact, recorded = _from_bundle(path), None
    elif path.is_dir():
        artifact, recorded = _from_folder(path)
    else:
        artifact, recorded = _from_file(path), None
    if against is not None:
        baseline = _in_format(against, artifact.format)
        _require_same_task(artifact, baseline)
        return Subject(artifact, baseline, None)
    if recorded is None:
        return Subject(artifact, None, None)
    return _with_recorded(artifact, Path(recorded.path), recorded.sha256)


def in_memory(data: bytes, model_format: Literal["tflite", "onnx"]) -> Model:
    """A model of no file."""
    return _model(Path(), model_format, data)


def random_inputs(runner: Runner) -> list[NDArray[np.generic]]:
    """One inference's inputs as the model stores them, the same at every call.

    What is quantised takes all its steps, other floats are standard normal, other integers 0 or 1, which every table
    of embeddings has.
    """
    generator = np.random.default_rng(_SEED)
    return [_random_value(tensor, generator) for tensor in runner.inputs]


def _random_value(tensor: TensorInfo, generator: np.random.Generator) -> NDArray[np.generic]:
    if np.issubdtype(tensor.dtype, np.floating):
        return generator.standard_normal(tensor.shape).astype(tensor.dtype)
    if tensor.quantisation is None:
        return generator.integers(0, 2, tensor.shape).astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)  # type: ignore[type-var]  # only integers are quantised
    return generator.integers(limits.min, limits.max, tensor.shape, endpoint=True).astype(tensor.dtype)


def _require_same_task(artifact: Model, baseline: Model) -> None:
    """Refuse to hold an artifact against a model of other inputs or outputs; their axes may be in another order."""
    shapes = []
    for model in (artifact, baseline):
        runner = open_runner(model.data, model.format)
        shapes.append([[tensor.shape for tensor in tensors] for tensors in (runner.inputs, runner.outputs)])
    ours, theirs = ([[sorted(shape) for shape in side] for side in sides] for sides in shapes)
    if ours != theirs:
        told = [f"{inputs} to {outputs}" for inputs, outputs in shapes]
        raise ModelMalformed(
            f"The float model {baseline.entry.path!r} computes {told[1]}, and the artifact {told[0]}",
            expected="a model that takes and gives the same",
            path=baseline.entry.path,
        )


def _model(path: Path, model_format: str, data: bytes, *, converted: bool = False) -> Model:
    digest = hashlib.sha256(data).hexdigest()
    return Model(ModelEntry(str(path), model_format, len(data), digest, converted), data)


def _from_file(path: Path) -> Model:
    with naming(path):
        return _of_file(read_model(path))


def _of_file(file: ModelFile) -> Model:
    """A file as its runtime loads it; one of Keras or TensorFlow is what it was converted to."""
    return _model(file.path, file.runs_as, file.runnable)


def _from_bundle(path: Path) -> Model:
    with Bundle(path) as bundle:
        if bundle.manifest.format == "c":
            raise ModelMalformed(
                f"The artifact of {str(path)!r} is C code", expected="an artifact in TFLite or ONNX", path=str(path)
            )
        return _model(path, bundle.manifest.format, bundle.read(bundle.manifest.artifact))


def _from_folder(folder: Path) -> tuple[Model, _File]:
    """The artifact of a compiled folder, and the source that is recorded there."""
    report = _read_report(folder)
    if report.artifact is None:
        raise ModelMalformed(
            f"The folder {str(folder)!r} has no artifact: its compilation was refused", path=str(folder)
        )
    # Reports have absolute paths; the artifact stays beside its report when the folder is moved.
    artifact = _from_file(folder / Path(report.artifact.path).name)
    return _model(folder, artifact.format, artifact.data), report.source


def _read_report(folder: Path) -> _Report:
    file = folder / MARK
    if not file.is_file():
        inside = sorted(entry.parent.name for entry in folder.glob(f"*/{MARK}"))
        raise ModelNotFound(
            f"The folder {str(folder)!r} holds no {MARK}",
            expected="the folder of one target, as `edgefleet model compile` writes it"
            + (f": {', '.join(str(folder / name) for name in inside)}" if inside else ""),
            path=str(folder),
        )
    try:
        if file.stat().st_size > _REPORT_LIMIT:
            raise ModelMalformed(f"The report {str(file)!r} has more than {_REPORT_LIMIT} bytes", path=str(file))
        return msgspec.json.decode(file.read_bytes(), type=_Report)
    except (msgspec.DecodeError, OSError) as cause:
        raise ModelMalformed(
            f"The report {str(file)!r} cannot be read: {cause}",
            expected="one that `edgefleet model compile` wrote",
            path=str(file),
        ) from cause


def _with_recorded(artifact: Model, source_path: Path, sha256: str) -> Subject:
    """The source that a folder records is the float model, where it still is what it was and can be run."""
    try:
        source = load_source(source_path, input_shapes={})
        if source.sha256 != sha256:
            return Subject(artifact, None, None, (f"The source {str(source_path)!r} has changed since.",))
    except EdgefleetError as error:
        return Subject(artifact, None, None, (_without_float(error),))
    try:
        as_it_is = source.quantised is None and source.file.runs_as == artifact.format
        baseline = _of_file(source.file) if as_it_is else _exported(source, artifact.format)
        return Subject(artifact, baseline, source)
    except EdgefleetError as error:
        return Subject(artifact, None, source, (_without_float(error),))


def _without_float(error: EdgefleetError) -> str:
    return f"There is no float model to hold the artifact against: {error.seen}. Give one with --against."


def _in_format(path: Path, wanted: Literal["tflite", "onnx"]) -> Model:
    """A float model as it is, or exported to the artifact's format, so that one runtime runs both."""
    model = _from_file(path)
    return model if model.format == wanted else _exported(load_source(path, input_shapes={}), wanted)


def _exported(source: Source, wanted: Literal["tflite", "onnx"]) -> Model:
    recipe = Recipe(scheme="float", format=wanted, io="float", io_layout="source", seed=0)
    return _model(source.file.path, wanted, export(source.hub, recipe, max_opset=None).data, converted=True)
