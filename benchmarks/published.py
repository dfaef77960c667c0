"""Published float TFLite files in the form that ai-edge-quantizer reads.

It knows operator codes by their new field alone, and takes every operator of an older file for ADD; it wants a
signature; and the keyword spotter that MLPerf Tiny calls float has int8 weights, which no int8 form should start from.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

SIGNATURE = "serving_default"


def plain_float(data: bytes) -> bytes:
    """The file with operator codes in both fields, a signature, and weights as the float32 that they stand for."""
    model = schema.ModelT.InitFromPackedBuf(data)
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        buffer = model.buffers[tensor.buffer]
        if tensor.type == schema.TensorType.INT8 and buffer.data is not None:
            buffer.data = np.frombuffer(_reals(tensor, buffer).tobytes(), np.uint8)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    model.signatureDefs = [_signature(graph)]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _reals(tensor: Any, buffer: Any) -> NDArray[np.float32]:
    """What the integers of a tensor with one scale stand for."""
    (scale,), (zero_point,) = tensor.quantization.scale, tensor.quantization.zeroPoint
    stored = np.asarray(buffer.data, np.uint8).view(np.int8).astype(np.float64)
    return ((stored - int(zero_point)) * float(scale)).astype(np.float32)


def _signature(graph: Any) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs = [_named(graph, number) for number in graph.inputs]
    signature.outputs = [_named(graph, number) for number in graph.outputs]
    return signature


def _named(graph: Any, number: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = graph.tensors[number].name, int(number)
    return entry
