"""Mutators that know a format, so that what they make is wrong in its meaning and not only in its framing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper

from edgefleet_contract import bundle

Mutate = Callable[[bytes, int], bytes]

SHARE_OF_PLAIN_MUTATIONS = 0.3
NUMBERS = (0, 1, -1, 2, 7, 255, -(2**31), 2**31 - 1, 2**40, 2**63 - 1, -(2**63))
OPERATORS = (
    "Relu", "Add", "Conv", "ConvTranspose", "MatMul", "Gemm", "Reshape", "Expand", "Tile", "ConstantOfShape", "Slice",
    "Pad", "Concat", "Split", "Resize", "ReduceMean", "MaxPool", "AveragePool", "Gather", "If", "Loop", "Identity",
    "Shape", "Range", "BatchNormalization", "Clip", "LSTM", "QuantizeLinear", "Squeeze", "Unsqueeze", "TopK",
)  # fmt: skip
ATTRIBUTES = (
    "axis",
    "axes",
    "pads",
    "strides",
    "dilations",
    "group",
    "kernel_shape",
    "perm",
    "to",
    "auto_pad",
    "value",
)


def mutate_onnx(data: bytes, size: int, seed: int, mutate: Mutate) -> bytes:
    """Another ONNX model: one to four changes to its nodes, constants, shapes or types."""
    random = np.random.default_rng(seed)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return mutate(data, size)
    if random.random() < SHARE_OF_PLAIN_MUTATIONS or not model.graph.node:
        return mutate(data, size)
    for _ in range(random.integers(1, 5)):
        with suppress(_Nothing, ValueError, TypeError):  # names that are no UTF-8, numbers that do not fit
            _one(random, _CHANGES)(model, random)
    result = model.SerializeToString()
    return result if len(result) <= size else data


def mutate_tflite(data: bytes, size: int, seed: int, mutate: Mutate) -> bytes:
    """Another TFLite file: aligned words, which are offsets, numbers and lengths, become other words."""
    random = np.random.default_rng(seed)
    if random.random() < SHARE_OF_PLAIN_MUTATIONS or len(data) < 16:
        return mutate(data, size)
    changed = bytearray(data)
    for _ in range(random.integers(1, 4)):
        position = 4 * int(random.integers(0, len(data) // 4))
        other = 4 * int(random.integers(0, len(data) // 4))
        near = struct.unpack_from("<i", data, position)[0] + int(random.integers(-8, 9))
        word = [struct.pack("<q", _number(random))[:4], data[other : other + 4], struct.pack("<q", near)[:4]]
        changed[position : position + 4] = word[random.integers(3)]
    return bytes(changed)


def mutate_bundle(data: bytes, size: int, seed: int, mutate: Mutate) -> bytes:
    """Another bundle: its manifest changes, and the header of the manifest with it."""
    random = np.random.default_rng(seed)
    start = bundle._LOCAL.size + len(bundle._MANIFEST_NAME)
    length = struct.unpack_from("<I", data, 18)[0] if len(data) >= start else 0
    if random.random() < SHARE_OF_PLAIN_MUTATIONS or not 0 < length <= len(data) - start:
        return mutate(data, size)
    manifest = mutate(data[start : start + length], max(size - len(data) + length, 1))
    header = bundle._local_header(bundle._MANIFEST_NAME, zlib.crc32(manifest), len(manifest))
    return (header + manifest + data[start + length :])[:size]


class _Nothing(Exception):
    """The model has nothing of the kind that was to be changed."""


def _number(random: np.random.Generator) -> int:
    return int(NUMBERS[random.integers(len(NUMBERS))])


def _one(random: np.random.Generator, items: Sequence[Any]) -> Any:
    if not items:
        raise _Nothing
    return items[int(random.integers(len(items)))]


def _names(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    names = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    return names + [name for node in graph.node for name in node.output] + [""]


def _operator(model: onnx.ModelProto, random: np.random.Generator) -> None:
    _one(random, model.graph.node).op_type = _one(random, OPERATORS)


def _rewire(model: onnx.ModelProto, random: np.random.Generator) -> None:
    node = _one(random, model.graph.node)
    names = _one(random, [node.input, node.output])
    if names:
        names[int(random.integers(len(names)))] = _one(random, _names(model))


def _more_inputs(model: onnx.ModelProto, random: np.random.Generator) -> None:
    _one(random, model.graph.node).input.append(_one(random, _names(model)))


def _drop(model: onnx.ModelProto, random: np.random.Generator) -> None:
    things = _one(random, [model.graph.node, model.graph.initializer, model.graph.input, model.graph.output])
    if things:
        del things[int(random.integers(len(things)))]


def _repeat(model: onnx.ModelProto, random: np.random.Generator) -> None:
    model.graph.node.append(_one(random, model.graph.node))


def _attribute(model: onnx.ModelProto, random: np.random.Generator) -> None:
    node, numbers = _one(random, model.graph.node), [_number(random) for _ in range(random.integers(1, 5))]
    values = [numbers[0], numbers, 0.5, "SAME_UPPER", [0.5, float("nan")], model.graph.initializer[:1]]
    value = values[int(random.integers(len(values)))]
    if value:
        node.attribute.append(helper.make_attribute(_one(random, ATTRIBUTES), value))


def _shape(model: onnx.ModelProto, random: np.random.Generator) -> None:
    graph = model.graph
    value = _one(random, [*graph.input, *graph.output, *graph.value_info])
    if value.type.tensor_type.shape.dim:
        _one(random, value.type.tensor_type.shape.dim).dim_value = _number(random)


def _constant(model: onnx.ModelProto, random: np.random.Generator) -> None:
    if not model.graph.initializer:
        return
    tensor = _one(random, model.graph.initializer)
    match int(random.integers(4)):
        case 0 if tensor.dims:
            tensor.dims[int(random.integers(len(tensor.dims)))] = _number(random)
        case 1:
            tensor.data_type = int(random.integers(0, 30))
        case 2:
            tensor.raw_data = tensor.raw_data[: int(random.integers(0, 64))]
        case _:
            numbers = np.array([_number(random) for _ in range(max(1, len(tensor.raw_data) // 8 % 9))], np.int64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(numbers, tensor.name))


def _element_type(model: onnx.ModelProto, random: np.random.Generator) -> None:
    value = _one(random, [*model.graph.input, *model.graph.output])
    value.type.tensor_type.elem_type = int(random.integers(0, 30))


def _opset(model: onnx.ModelProto, random: np.random.Generator) -> None:
    _one(random, model.opset_import).version = int(random.integers(5, 30))


_CHANGES = (
    _operator, _rewire, _more_inputs, _drop, _repeat, _attribute, _shape, _constant, _element_type, _opset,
)  # fmt: skip
