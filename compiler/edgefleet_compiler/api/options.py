"""What the Python interface takes, and the request that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from edgefleet_compiler.data import Normalisation
from edgefleet_compiler.data.npz import SINGLE_INPUT
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Progress
from edgefleet_contract.errors import DataMalformed, UsageMalformed
from edgefleet_hardware import units
from edgefleet_hardware.profile import Format

Model: TypeAlias = str | Path | onnx.ModelProto
"""A model file, or an ONNX model in memory."""

Data: TypeAlias = str | Path | NDArray[Any] | Mapping[str, NDArray[Any]]
"""A data set: an ``.npz`` or a folder of images; or arrays, the first axis the case: that of the single input, or one
for each input by name, with ``y`` for labels or targets."""

Number = TypeVar("Number", int, float)


class Options(TypedDict, total=False):
    """What a compilation may be told; each key is the command's option of that name.

    Attributes:
        out: The folder that gets one folder a target. Without it the files live as long as the results do.
        name: Of the bundle; by default the model file's.
        version: Semantic version of the bundle.
        format: "tflite" or "onnx"; by default the target's.
        calibration: Typical inputs.
        validation: Inputs to measure on, with labels where there are any.
        metric: "top1", "mse", "auc", "agreement" or "module:function".
        recipe: "auto", a scheme ("int8", "int16x8", "dynamic", "weight-only", "fp16", "float"), or the path of
            a recipe file.
        prune: Share of the multiply-accumulates to take away with whole channels, such as 0.3.
        io: "float" or "int8" inputs and outputs; by default the target's.
        io_layout: "source" or "native" axis order of 4-D inputs and outputs.
        max_drop: Largest loss of accuracy, a fraction.
        max_flash: Largest artifact, in bytes or such as "64KiB".
        max_ram: Most working memory of an inference, as ``max_flash``.
        max_latency: Longest inference, in seconds or such as "20ms".
        seed: Of everything random.
        input_shapes: Shapes for inputs that the model leaves open, by name.
        labels: Names of the classes.
        mean: Subtracted from the pixels (0 to 255) of image folders, one number or one a channel.
        std: The pixels of image folders are divided by it.
        progress: Told of what takes long.
    """

    out: str | Path
    name: str
    version: str
    format: Format
    calibration: Data
    validation: Data
    metric: str
    recipe: str
    prune: float
    io: Literal["float", "int8"]
    io_layout: Literal["source", "native"]
    max_drop: float
    max_flash: int | str
    max_ram: int | str
    max_latency: float | str
    seed: int
    input_shapes: Mapping[str, Sequence[int]]
    labels: Sequence[str]
    mean: float | Sequence[float]
    std: float | Sequence[float]
    progress: Progress


def check_options(options: Options) -> None:
    """Refuse options that there are not; a misspelt one would be ignored otherwise.

    Raises:
        UsageMalformed: There is one.
    """
    known = sorted(Options.__annotations__)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageMalformed(f"There are no options {unknown}", expected=f"some of {', '.join(known)}")


def make_request(model: Model, targets: Sequence[str], options: Options, *, out: Path, place: Path) -> CompileOptions:
    """The request to the compiler.

    Args:
        model: The model.
        targets: Names of profiles, or paths.
        options: As the caller gave them.
        out: The output folder.
        place: A folder for what is in memory, and has to be a file.

    Raises:
        UsageMalformed: A value that is none of its option's.
        DataMalformed: Arrays that cannot be saved.
    """
    return CompileOptions(
        model=_model_file(model, place),
        targets=tuple(targets),
        out=out,
        name=options.get("name"),
        version=options.get("version", CompileOptions.version),
        format=options.get("format"),
        calibration=_data_file(options.get("calibration"), place / "calibration.npz"),
        validation=_data_file(options.get("validation"), place / "validation.npz"),
        metric=options.get("metric"),
        recipe=str(options.get("recipe", CompileOptions.recipe)),
        prune=options.get("prune"),
        io=options.get("io"),
        io_layout=options.get("io_layout"),
        max_drop=options.get("max_drop"),
        max_flash=_quantity(options.get("max_flash"), units.parse_bytes),
        max_ram=_quantity(options.get("max_ram"), units.parse_bytes),
        max_latency=_quantity(options.get("max_latency"), units.parse_seconds),
        seed=options.get("seed"),
        input_shapes={name: tuple(shape) for name, shape in options.get("input_shapes", {}).items()},
        labels=tuple(options.get("labels", ())),
        normalisation=_normalisation(options.get("mean"), options.get("std")),
    )


def _model_file(model: Model, place: Path) -> Path:
    if isinstance(model, str | Path):
        return Path(model)
    if isinstance(model, onnx.ModelProto):
        path = place / f"{model.graph.name or 'model'}.onnx".replace("/", "-")
        path.write_bytes(model.SerializeToString(deterministic=True))
        return path
    raise UsageMalformed(
        f"The model is a {type(model).__module__}.{type(model).__qualname__}",
        expected="a path, or an onnx.ModelProto",
        remedy="Save or export it to a file first.",
    )


def _data_file(data: Data | None, path: Path) -> Path | None:
    if data is None or isinstance(data, str | Path):
        return None if data is None else Path(data)
    arrays = data if isinstance(data, Mapping) else {SINGLE_INPUT: data}
    columns = {name: np.asarray(values) for name, values in arrays.items()}
    objects = sorted(name for name, values in columns.items() if values.dtype.hasobject)
    if objects:
        raise DataMalformed(f"The arrays {objects} hold Python objects", expected="numbers, of one shape in every case")
    np.savez(path, allow_pickle=False, **columns)
    return path


def _quantity(value: Number | str | None, parse: Callable[[str], Number]) -> Number | None:
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except ValueError as cause:
        raise UsageMalformed(str(cause), expected="a quantity such as 64KiB or 20ms") from cause


def _normalisation(mean: float | Sequence[float] | None, std: float | Sequence[float] | None) -> Normalisation | None:
    if mean is None and std is None:
        return None
    return Normalisation(_channels(0.0 if mean is None else mean), _channels(1.0 if std is None else std))


def _channels(values: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.atleast_1d(np.asarray(values)))
