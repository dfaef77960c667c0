"""What stands in the pictures of the graph before and after: operators of a source file, and of an artifact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from edgefleet_compiler.lowered.graph import LoweredGraph, Tensor
from edgefleet_compiler.report.pictures.graph import Box
from edgefleet_compiler.tflite.reader import read_tflite

_TFLITE_IDENTIFIER = slice(4, 8), b"TFL3"  # schema.fbs: file_identifier
_EIGHT_BITS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
_FUSED = frozenset({"Relu", "Clip"})
_FLOAT = onnx.TensorProto.FLOAT
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"})


def boxes_of_file(data: bytes) -> list[Box]:
    """The operators of a TFLite or ONNX file."""
    where, identifier = _TFLITE_IDENTIFIER
    return boxes_of_lowered(read_tflite(data)) if data[where] == identifier else boxes_of_onnx(data)


def boxes_of_lowered(graph: LoweredGraph) -> list[Box]:
    """The operators of a TFLite file."""
    return [
        Box(
            kind=operator.kind + _fused(operator.attributes.get("fused_activation_function")),
            name=operator.source or operator.outputs[0],
            detail=_shape(graph.tensors[operator.outputs[0]].shape),
            tone=_tone_of(operator.kind, graph.tensors[operator.outputs[0]]),
            reads=[name for name in operator.inputs if name is not None],
            writes=operator.outputs,
        )
        for operator in graph.operators
    ]


def boxes_of_onnx(data: bytes) -> list[Box]:
    """The operators of an ONNX file that take part in inference: those on constants alone are left out."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data)).graph
    constants = {tensor.name for tensor in graph.initializer}
    quantised = _computed_between_pairs(graph)
    shapes = {value.name: _dimensions(value) for value in (*graph.input, *graph.output, *graph.value_info)}
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.output, *graph.value_info)}
    boxes = []
    for node in graph.node:
        reads = [name for name in node.input if name and name not in constants]
        if not reads:
            constants.update(node.output)
            continue
        integer = types.get(node.output[0]) in _EIGHT_BITS or node.output[0] in quantised
        tone = "convert" if node.op_type in _CONVERSIONS else "integer" if integer else "float"
        name = node.name or node.output[0]
        boxes.append(Box(node.op_type, name, shapes.get(node.output[0], ""), tone, reads, list(node.output)))
    return boxes


def _computed_between_pairs(graph: onnx.GraphProto) -> set[str]:
    """The first outputs of nodes that read dequantised values alone, and whose results are rounded to 8 bits again.

    So QDQ models say that a runtime may compute with the integers; an activation behind such a node is fused into it.
    """
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == _FLOAT and len(tensor.dims) > 1}
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.output, *graph.value_info)}
    producers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    kept = {value.name for value in graph.output}

    def is_rounded(name: str) -> bool:
        found = readers.get(name, [])
        if len(found) == 1 and found[0].op_type in _FUSED and name not in kept:
            return is_rounded(found[0].output[0])
        rounds = all(node.op_type == "QuantizeLinear" and types.get(node.output[0]) in _EIGHT_BITS for node in found)
        return bool(found) and rounds and name not in kept

    between: set[str] = set()
    for node in graph.node:
        computed = [name for name in node.input if name in producers]
        dequantised = bool(computed) and all(producers[name].op_type == "DequantizeLinear" for name in computed)
        fused = node.op_type in _FUSED and node.input[0] in between
        if (dequantised or fused) and weights.isdisjoint(node.input) and is_rounded(node.output[0]):
            between.add(node.output[0])
    return between


def _tone_of(kind: str, output: Tensor) -> str:
    if kind in _CONVERSIONS:
        return "convert"
    return "integer" if np.issubdtype(output.dtype, np.integer) else "float"


def _fused(activation: object) -> str:
    return "" if activation in (None, "NONE") else f" + {activation}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _dimensions(value: onnx.ValueInfoProto) -> str:
    dimensions = value.type.tensor_type.shape.dim
    return " x ".join(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dimensions)
