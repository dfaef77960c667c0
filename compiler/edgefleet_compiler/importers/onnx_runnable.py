"""ONNX files as onnxruntime loads them from memory: the source as it is, and what only its file says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

from edgefleet_compiler.importers.onnx_external import load_external_data
from edgefleet_compiler.importers.onnx_tensors import tensors_of
from edgefleet_contract.errors import ModelMalformed

_NEWEST_IR: Final = 11
"""The newest IR version that onnxruntime 1.23 loads, the oldest that we run on; newer ones add fields only."""


def runnable(data: bytes, folder: Path) -> bytes:
    """An ONNX file with its external tensors inside, an IR version that is read, and sizes that are none left open.

    Args:
        data: The whole file; returned as it is where none of it is otherwise.
        folder: Where it lies.

    Raises:
        ModelMalformed: No ONNX model, or as ``load_external_data``.
    """
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as cause:
        raise ModelMalformed(
            "The file is no ONNX model, or is truncated",
            expected="an .onnx or .tflite model",
            remedy="Fetch or export the model again.",
        ) from cause
    external = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors_of(proto.graph))
    empty = [
        dimension
        for value in proto.graph.input
        for dimension in value.type.tensor_type.shape.dim
        if dimension.HasField("dim_value") and dimension.dim_value <= 0
    ]
    if not external and not empty and proto.ir_version <= _NEWEST_IR:
        return data
    for dimension in empty:
        dimension.ClearField("dim_value")
    proto.ir_version = min(proto.ir_version, _NEWEST_IR)
    load_external_data(proto, folder)
    return bytes(proto.SerializeToString(deterministic=True))
