"""Bodies of the Open Inference Protocol v2 (KServe, "Predict Protocol - Version 2", REST): JSON to arrays and back."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_contract.errors import DataMalformed
from edgefleet_contract.manifest import Manifest

_DTYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[object]


class _Wanted(msgspec.Struct):
    name: str


class InferenceRequest(msgspec.Struct):
    """A request: its id is echoed; ``outputs`` are those wanted, all of them when empty."""

    inputs: list[_Input]
    id: str | None = None
    outputs: list[_Wanted] = []


class _Output(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class _InferenceResponse(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_Output]
    id: str | None = None


def parse(body: bytes, manifest: Manifest) -> tuple[InferenceRequest, dict[str, NDArray[np.generic]]]:
    """A request body and its arrays by input name.

    Raises:
        DataMalformed: No request, data that are not of the shape and datatype said, or an output that is not there.
    """
    try:
        request = msgspec.json.decode(body, type=InferenceRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise DataMalformed(
            f"The request does not decode: {cause}", expected="a JSON inference request of the Open Inference Protocol"
        ) from cause
    known = [spec.name for spec in manifest.outputs]
    for wanted in request.outputs:
        if wanted.name not in known:
            raise DataMalformed(f"The request wants the output {wanted.name!r}", expected=f"one of {known}")
    arrays = {entry.name: _array(entry) for entry in request.inputs}
    for spec in manifest.inputs:
        name = spec.name if spec.name in arrays or len(manifest.inputs) > 1 else next(iter(arrays), spec.name)
        if name in arrays and (spec.quantisation is not None or spec.dtype.startswith("float")):
            _check_real(name, arrays[name])
    return request, arrays


def _array(entry: _Input) -> NDArray[np.generic]:
    dtype = _DTYPES.get(entry.datatype)
    if dtype is None:
        raise DataMalformed(
            f"The input {entry.name!r} has datatype {entry.datatype!r}", expected=f"one of {', '.join(_DTYPES)}"
        )
    if any(size < 0 for size in entry.shape):
        raise DataMalformed(f"The input {entry.name!r} has shape {entry.shape}", expected="no negative size")
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is told below, or by _check_real
            array: NDArray[np.generic] = np.array(entry.data, dtype).reshape(entry.shape)
    except (ValueError, TypeError, OverflowError) as cause:
        raise DataMalformed(
            f"The data of input {entry.name!r} are not a {entry.datatype} tensor of shape {entry.shape}: {cause}"
        ) from cause
    if array.dtype.kind in "iu" and not np.array_equal(np.array(entry.data).reshape(entry.shape), array):
        raise DataMalformed(f"The data of input {entry.name!r} are not all integers", expected=entry.datatype)
    return array


def _check_real(name: str, array: NDArray[np.generic]) -> None:
    """Refuse values that a float32 input cannot take: infinities, no numbers, and integers that would be rounded."""
    with np.errstate(over="ignore"):
        real = array.astype(np.float32)
    if not np.isfinite(real).all():
        raise DataMalformed(f"The input {name!r} holds values that are not finite as FP32", expected="finite numbers")
    # As Python numbers, which compare exactly: float64 would round the integers first.
    if array.dtype.kind in "iu" and not np.array_equal(real.astype(object), array.astype(object)):
        raise DataMalformed(
            f"The input {name!r} holds integers that FP32 cannot represent exactly",
            expected="integers of at most 24 significant bits, or FP32 values",
        )


def respond(request: InferenceRequest, manifest: Manifest, outputs: list[NDArray[np.float32]]) -> bytes:
    """The response body.

    Args:
        request: What was asked.
        manifest: Of the bundle that answered.
        outputs: All outputs in the manifest's order, each ``(n, ...)``.
    """
    wanted = {entry.name for entry in request.outputs}
    entries = [
        _Output(spec.name, list(output.shape), "FP32", output.reshape(-1).tolist())
        for spec, output in zip(manifest.outputs, outputs, strict=True)
        if not wanted or spec.name in wanted
    ]
    return msgspec.json.encode(_InferenceResponse(manifest.name, manifest.version, entries, request.id))
