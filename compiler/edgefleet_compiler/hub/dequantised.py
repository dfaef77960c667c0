"""Constants that are stored as integers, behind a DequantizeLinear, read and moved like plain ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import Constant, constant, dtype_of, integer, name_of

Move = Callable[[Constant], Constant]


def stored(value: ir.Value | None) -> Constant | None:
    """A constant as it is stored: its reals, or the integers that a DequantizeLinear makes reals of."""
    array = constant(value)
    if array is not None or value is None:
        return array
    node = value.producer()
    return constant(node.inputs[0]) if node is not None and node.op_type == "DequantizeLinear" else None


def is_per_tensor(node: ir.Node) -> bool:
    """Whether a QuantizeLinear or DequantizeLinear has one scale."""
    scale = constant(node.inputs[1])
    return scale is not None and scale.size == 1


def channel_axis(node: ir.Node, rank: int) -> int | None:
    """The axis of a DequantizeLinear whose channels have scales of their own; None for one scale."""
    return None if is_per_tensor(node) else integer(node, "axis", 1) % rank


def moved(
    editor: Editor,
    value: ir.Value,
    move: Move,
    label: str,
    *,
    axis: int | None = None,
    move_parameters: Move | None = None,
) -> ir.Value:
    """A constant with its elements moved; stored integers stay integers.

    Args:
        editor: Of the graph.
        value: A constant, or what a DequantizeLinear makes of one.
        move: What is done to the elements.
        label: What to name the result after.
        axis: Where the channels with scales of their own are afterwards; None where they stay, or there are none.
        move_parameters: What is done to those scales; None where they stay in order.
    """
    node = value.producer()
    array = stored(value)
    assert array is not None
    if node is None:
        return editor.constant(move(array), label)
    integers = move(array)
    parameters = [
        given
        if given is None or move_parameters is None or is_per_tensor(node)
        else editor.constant(move_parameters(_array(given)), name_of(given))
        for given in node.inputs[1:]
    ]
    kept = integer(node, "axis", 1)
    return editor.node(
        "DequantizeLinear",
        [editor.constant(integers, f"{label}/stored"), *parameters],
        name=label,
        shape=integers.shape,
        dtype=dtype_of(value),
        attributes={} if is_per_tensor(node) else {"axis": kept if axis is None else axis},
        before=node,
    )


def reals(node: ir.Node, integers: NDArray[np.generic]) -> NDArray[np.float32]:
    """What a DequantizeLinear with constant parameters makes of integers."""
    scale, zero_point = constant(node.inputs[1]), constant(node.inputs[2]) if len(node.inputs) > 2 else None
    assert scale is not None
    axis = channel_axis(node, integers.ndim)
    shape = tuple(-1 if index == axis else 1 for index in range(integers.ndim))
    origin = np.zeros(1, np.int64) if zero_point is None else zero_point.astype(np.int64)
    steps = integers.astype(np.int64) - origin.reshape(shape)
    return np.asarray(steps * scale.astype(np.float64).reshape(shape), np.float32)


def _array(value: ir.Value) -> Constant:
    array = constant(value)
    assert array is not None
    return array
