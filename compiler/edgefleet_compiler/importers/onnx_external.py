"""External data: tensors whose bytes lie in a file beside the model.

ONNX specification, "External data". The location is a path that the model's author chose, so it is held to the model's
own folder: no absolute path, no ``..``, no links (compare CVE-2024-27318 and CVE-2025-51480 of the ``onnx`` package).
"""

from __future__ import annotations

import math
import stat
from pathlib import Path, PurePosixPath

import onnx

from edgefleet_compiler.importers.onnx_tensors import tensors_of
from edgefleet_contract.errors import ModelMalformed

MOST_BYTES = 2 * 2**30 - 1
"""What all external tensors may take together: the limit of a model without them."""


def load_external_data(proto: onnx.ModelProto, folder: Path) -> None:
    """Read external tensors into the model, in place.

    Raises:
        ModelMalformed: A location leaves the folder, is a link or is missing, or its bytes do not fit the tensor.
    """
    budget = MOST_BYTES
    for tensor in tensors_of(proto.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        size = _byte_size(tensor)
        budget -= size
        if budget < 0:
            raise ModelMalformed("The model's external data is too large", expected=f"at most {MOST_BYTES} bytes")
        tensor.raw_data = _read(tensor, size, folder)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _byte_size(tensor: onnx.TensorProto) -> int:
    try:
        item_size = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, TypeError) as cause:
        raise ModelMalformed(
            f"The external tensor {tensor.name!r} has elements of the unknown type {tensor.data_type}"
        ) from cause
    if any(size < 0 for size in tensor.dims):
        raise ModelMalformed(f"The external tensor {tensor.name!r} has the shape {list(tensor.dims)}")
    return item_size * math.prod(int(size) for size in tensor.dims)


def _read(tensor: onnx.TensorProto, size: int, folder: Path) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _resolve(entries.get("location", ""), tensor.name, folder)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(size)))
    except ValueError as cause:
        raise ModelMalformed(
            f"The external tensor {tensor.name!r} has an offset or length that is no number"
        ) from cause
    available = path.stat().st_size
    if length != size or offset < 0 or offset + length > available:
        raise ModelMalformed(
            f"The external tensor {tensor.name!r} claims {length} bytes from {offset} of {path.name!r}, "
            f"which has {available}",
            expected=f"{size} bytes inside the file",
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _resolve(location: str, name: str, folder: Path) -> Path:
    """The file that a location names, if it is a plain file inside the folder."""
    parts = PurePosixPath(location).parts
    if not parts or location.startswith("/") or ".." in parts or "\\" in location or ":" in location:
        raise ModelMalformed(
            f"The external tensor {name!r} lies at {location!r}", expected="a relative path below the model's folder"
        )
    path = folder
    for part in parts:
        path /= part
        if path.is_symlink():
            raise ModelMalformed(f"The external tensor {name!r} lies behind the link {location!r}", expected="a file")
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        raise ModelMalformed(
            f"The external data {location!r} of the tensor {name!r} is no file beside the model",
            remedy="Put the data file into the folder of the model.",
        )
    return path
