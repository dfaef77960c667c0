"""Reading hub graphs: constants, static shapes, attributes, and who uses what."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

OPSET = 21
"""The opset of every hub graph: the first whose QuantizeLinear knows int16 and int4."""

IR_VERSION = 10
"""The IR version that came with opset 21."""

Constant = NDArray[Any]


def constant(value: ir.Value | None) -> Constant | None:
    """The value of an initializer; None for activations, graph inputs and absent inputs."""
    if value is None or not value.is_initializer() or value.is_graph_input() or value.const_value is None:
        return None
    return value.const_value.numpy()


def constant_value(node: ir.Node) -> Constant | None:
    """The value of a Constant, in whichever attribute it is; None for strings and sparse tensors."""
    for name, attribute in node.attributes.items():
        match name:
            case "value":
                return attribute.as_tensor().numpy()
            case "value_float":
                return np.array(attribute.as_float(), np.float32)
            case "value_floats":
                return np.array(attribute.as_floats(), np.float32)
            case "value_int":
                return np.array(attribute.as_int(), np.int64)
            case "value_ints":
                return np.array(attribute.as_ints(), np.int64)
    return None


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The static shape of a value.

    Raises:
        ValueError: The shape is unknown or not static, which no hub graph may have.
    """
    shape = value.shape
    if shape is None or not shape.is_static():
        raise ValueError(f"value {value.name!r} has no static shape: {shape}")
    return shape.numpy()


def has_static_shape(value: ir.Value) -> bool:
    """Whether every dimension of the value is known."""
    return value.shape is not None and value.shape.is_static()


def rank_of(value: ir.Value) -> int:
    """The number of dimensions of a value with a static shape."""
    return len(shape_of(value))


def dtype_of(value: ir.Value) -> ir.DataType:
    """The element type of a value.

    Raises:
        ValueError: The type is unknown, which no hub graph may have.
    """
    if value.dtype is None:
        raise ValueError(f"value {value.name!r} has no element type")
    return value.dtype


def byte_size(value: ir.Value) -> int:
    """Bytes that a value of static shape takes."""
    return math.ceil(math.prod(shape_of(value)) * dtype_of(value).bitwidth / 8)


def products(graph: ir.Graph) -> int:
    """Multiply-accumulates of an inference, as far as layers with constant weights make them."""
    total = 0
    for node in graph:
        weights = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        if weights is None or node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        positions = node.inputs[0] if node.op_type == "ConvTranspose" else result_of(node)
        assert positions is not None
        shape = shape_of(positions)
        inner = shape[2:] if node.op_type.startswith("Conv") else shape[:-1]
        total += int(weights.size) * math.prod(inner)
    return total


def result_of(node: ir.Node) -> ir.Value:
    """The first output of a node that is not left out; recurrent layers may leave out any."""
    return next(value for value in node.outputs if value.name)


def name_of(value: ir.Value) -> str:
    """The name of a value.

    Raises:
        ValueError: The value has none, which no hub graph may have.
    """
    if not value.name:
        raise ValueError(f"value {value!r} has no name")
    return value.name


def is_float(value: ir.Value) -> bool:
    """Whether the value holds float32 elements."""
    return value.dtype == ir.DataType.FLOAT


def activation_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs of a node that are neither absent nor constant, in order."""
    return [value for value in node.inputs if value is not None and constant(value) is None]


def activations(graph: ir.Graph) -> Iterator[ir.Value]:
    """Every value computed at run time: the graph's inputs, then the outputs of its nodes in execution order."""
    yield from graph.inputs
    for node in graph:
        yield from (value for value in node.outputs if value.name)


def sole_consumer(value: ir.Value) -> ir.Node | None:
    """The one node that uses the value, once; None when there are others, or the value leaves the graph."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    return next(iter(uses)).node


def integer(node: ir.Node, name: str, default: int) -> int:
    """An INT attribute, or the default where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def real(node: ir.Node, name: str, default: float) -> float:
    """A FLOAT attribute, or the default where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def text(node: ir.Node, name: str, default: str) -> str:
    """A STRING attribute, or the default where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def integers(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """An INTS attribute; None where it is absent."""
    attribute = node.attributes.get(name)
    return None if attribute is None else tuple(attribute.as_ints())


def input_integers(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """A constant input of integers (axes, pads, shape); None where it is absent or not constant."""
    if index >= len(node.inputs):
        return None
    array = constant(node.inputs[index])
    return None if array is None else tuple(int(number) for number in array.reshape(-1))
