"""Files as inference requests, and answers as predictions. Runs in the command's own process, which may hold numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_contract.errors import DataMalformed, InferenceFailed, UsageMalformed
from edgefleet_contract.manifest import Manifest, TensorSpec

Array = NDArray[np.generic]

_SINGLE_INPUT = "x"
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp"})
ARRAYS = frozenset({".npz", ".npy", ".json"})
_DATATYPES = {"f": "FP32", "b": "BOOL", "i": "INT64", "u": "UINT64"}


class OutputTensor(msgspec.Struct):
    """An output of a response."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float | None]


class Response(msgspec.Struct):
    """A response body."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]


class Prediction(msgspec.Struct):
    """The largest value of the first output of one case.

    Attributes:
        index: Its place.
        value: It.
        label: What the manifest calls this place; None without labels.
    """

    index: int
    value: float
    label: str | None


def read_request(path: Path, manifest: Manifest) -> bytes:
    """The file's cases as an Open Inference Protocol request body.

    Args:
        path: ``.npz`` (one array an input by name, or ``x`` for a single input), ``.npy`` (a single input), ``.json``
            (a request body, as it is) or a picture (a single image input; normalised as the manifest says). An array
            without the batch axis is one case.
        manifest: Of the model that will be asked.

    Raises:
        DataMalformed: It cannot be read, or does not fit the model.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            return path.read_bytes()
        if suffix in PICTURES:
            arrays: Mapping[str, Array] = {_SINGLE_INPUT: _read_picture(path, _image_input(manifest))}
        else:
            arrays = _read_arrays(path)
    except OSError as cause:
        raise DataMalformed(f"The file {str(path)!r} cannot be read: {cause}") from cause
    names = [spec.name for spec in manifest.inputs]
    if len(names) == 1 and _SINGLE_INPUT in arrays:
        arrays = {names[0]: arrays[_SINGLE_INPUT]}
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DataMalformed(f"The file {str(path)!r} holds the arrays {sorted(arrays)}", expected=f"also {missing}")
    return msgspec.json.encode({"inputs": [_tensor(spec, arrays[spec.name]) for spec in manifest.inputs]})


def input_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that can be inputs, by name.

    Raises:
        UsageMalformed: It is no folder, or has none.
    """
    if not folder.is_dir():
        raise UsageMalformed(f"{str(folder)!r} is no folder", expected="a folder of .npz, .npy, .json or image files")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ARRAYS | PICTURES and path.is_file())
    if not files:
        raise UsageMalformed(
            f"The folder {str(folder)!r} holds no inputs", expected=f"files {sorted(ARRAYS | PICTURES)}"
        )
    yield from files


def decode_response(body: bytes) -> Response:
    """Parse a response body.

    Raises:
        InferenceFailed: It is none.
    """
    try:
        return msgspec.json.decode(body, type=Response)
    except msgspec.DecodeError as cause:
        raise InferenceFailed(f"The answer is no inference response: {cause}") from cause


def predictions(response: Response, labels: list[str]) -> list[Prediction]:
    """The prediction of each case; none where the first output has but one value a case."""
    output = response.outputs[0]
    cases = output.shape[0]
    if cases == 0 or len(output.data) // cases < 2:
        return []
    rows = np.array(output.data, np.float64).reshape(cases, -1)
    return [
        Prediction(int(place), float(row[place]), labels[place] if place < len(labels) else None)
        for row, place in zip(rows, rows.argmax(axis=1), strict=True)
    ]


def _tensor(spec: TensorSpec, array: Array) -> dict[str, object]:
    name = spec.name
    if array.shape == tuple(spec.shape[1:]):
        array = array[np.newaxis]  # a single sample
    datatype = _DATATYPES.get(array.dtype.kind)
    if datatype is None:
        raise DataMalformed(f"The array {name!r} has dtype {str(array.dtype)!r}", expected="numbers")
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.reshape(-1).tolist()}


def _read_arrays(path: Path) -> dict[str, Array]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {_SINGLE_INPUT: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except OSError:
        raise
    except Exception as cause:  # zipfile, zlib and numpy each raise their own on bytes that are none
        raise DataMalformed(f"The file {str(path)!r} cannot be read: {cause}", expected="an .npz or .npy") from cause


def _image_input(manifest: Manifest) -> TensorSpec:
    spec = manifest.inputs[0]
    is_image = len(manifest.inputs) == 1 and spec.axes in ("NHWC", "NCHW")
    if not is_image or spec.shape[spec.axes.index("C")] not in (1, 3):
        raise DataMalformed(
            "The model has no single image input",
            expected="arrays as .npz",
            inputs=[entry.name for entry in manifest.inputs],
        )
    return spec


def _read_picture(path: Path, spec: TensorSpec) -> Array:
    """The picture as the input takes it: scaled, normalised as the manifest says, in the input's axis order."""
    try:
        from PIL import Image  # noqa: PLC0415 - only pictures need it, and a device may do without
    except ModuleNotFoundError as cause:
        raise DataMalformed(
            f"Reading the picture {str(path)!r} needs the Python package 'pillow'", remedy="`pip install pillow`"
        ) from cause
    height, width, channels = (spec.shape[spec.axes.index(letter)] for letter in "HWC")
    try:
        with Image.open(path) as picture:
            converted = picture.convert("L" if channels == 1 else "RGB")
            scaled = converted.resize((width, height), Image.Resampling.BILINEAR)
    except (ValueError, Image.DecompressionBombError) as cause:
        raise DataMalformed(f"The picture {str(path)!r} cannot be read: {cause}") from cause
    pixels = np.asarray(scaled, np.float32).reshape(height, width, channels)
    if spec.preprocessing is not None:
        mean, std = (np.array(values, np.float32) for values in (spec.preprocessing.mean, spec.preprocessing.std))
        pixels = np.divide(pixels - mean, std, dtype=np.float32)
    return (pixels.transpose(2, 0, 1) if spec.axes == "NCHW" else pixels)[np.newaxis]
