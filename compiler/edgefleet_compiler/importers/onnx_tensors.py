"""The constants inside an ONNX file: all of them, and whether each holds what its shape needs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
import onnx_ir as ir

from edgefleet_contract.errors import ModelMalformed

_TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of the graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors_of(inner)


def refuse_short_tensors(graph: onnx.GraphProto) -> None:
    """Refuse constants whose data does not make their shape, which ONNX's checker lets through in places.

    The data is counted before anything is made of it: a shape of a few bytes can name any amount of memory.

    Args:
        graph: Without external data.

    Raises:
        ModelMalformed: There is one; it is named.
    """
    for tensor in tensors_of(graph):
        if not _holds_its_shape(tensor):
            raise ModelMalformed(
                f"The constant {tensor.name!r} does not hold what its shape {list(tensor.dims)} needs",
                remedy="Fetch or export the model again.",
                tensor=tensor.name,
            )


def _holds_its_shape(tensor: onnx.TensorProto) -> bool:
    if any(size < 0 for size in tensor.dims):
        return False
    size = math.prod(tensor.dims)
    try:
        return _is_counted_right(tensor, size) and ir.serde.deserialize_tensor(tensor).numpy().size == size
    # Of unknown element types, numbers that do not fit them, and fields of another type, which onnx_ir asserts on.
    except (ValueError, TypeError, OverflowError, AssertionError):
        return False


def _is_counted_right(tensor: onnx.TensorProto, size: int) -> bool:
    """Whether there are as many bytes or entries as ``size`` elements take."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data) == math.ceil(size * ir.DataType(tensor.data_type).bitwidth / 8)
    entries = max(len(getattr(tensor, field)) for field in _TYPED)
    # One entry an element; two for a complex one; one for two or four of fewer than 8 bits.
    return entries in {size, 2 * size, math.ceil(size / 2), math.ceil(size / 4)}
