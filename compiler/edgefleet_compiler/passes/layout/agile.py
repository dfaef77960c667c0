"""Operators that work in any axis order: what ties their values to one layout, and how they adapt to it.

All other operators are rigid: they read and write axes in the order that their specification names.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import channel_axis, is_per_tensor
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import (
    activation_inputs,
    constant,
    input_integers,
    integer,
    rank_of,
)
from edgefleet_compiler.hub.operators import BROADCASTING, REDUCTIONS, UNARY
from edgefleet_compiler.passes.layout.permutation import Permutation, inverse
from edgefleet_compiler.passes.reductions import reduced_axes


def tied_values(node: ir.Node) -> list[ir.Value]:
    """The values of an agile node, which must share one layout; empty for a rigid node."""
    if node.op_type not in _ADAPTERS or not _is_adaptable(node):
        return []
    values = [*activation_inputs(node), *(value for value in node.outputs if value.name)]
    rank = rank_of(node.outputs[0])
    return values if rank >= 2 and all(rank_of(value) == rank for value in values) else []


def adapt(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    """Make an agile node compute on values of this layout, by its attributes and constant inputs."""
    _ADAPTERS[node.op_type](node, layout, editor)


def adapt_reduction(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    """Let a reduction reduce the axes of its input where the layout has put them."""
    axes = reduced_axes(node, len(layout))
    assert axes is not None
    moved = sorted(inverse(layout)[axis] for axis in axes)
    node.resize_inputs(2)
    node.replace_input_with(1, editor.constant(np.array(moved, np.int64), f"{node.name}/axes"))


def _is_adaptable(node: ir.Node) -> bool:
    condition = _CONDITIONS.get(node.op_type)
    return condition is None or condition(node)


def _keeps_axes(node: ir.Node) -> bool:
    return integer(node, "keepdims", 1) == 1 and (
        node.op_type not in REDUCTIONS or reduced_axes(node, rank_of(node.outputs[0])) is not None
    )


def _is_told_at_compile_time(node: ir.Node) -> bool:
    return constant(node.inputs[1]) is not None


def _has_amounts_of_every_axis(node: ir.Node) -> bool:
    return len(input_integers(node, 1) or ()) == 2 * rank_of(node.outputs[0])


def _has_bounds_of_every_axis(node: ir.Node) -> bool:
    return all(len(input_integers(node, index) or ()) == rank_of(node.outputs[0]) for index in range(1, 5))


def _dequantises_alike(node: ir.Node) -> bool:
    return is_per_tensor(node) or constant(node.inputs[0]) is not None


_CONDITIONS: dict[str, Callable[[ir.Node], bool]] = {
    **dict.fromkeys((*REDUCTIONS, "ArgMax", "ArgMin"), _keeps_axes),
    "CumSum": _is_told_at_compile_time,
    "DequantizeLinear": _dequantises_alike,
    "Pad": _has_amounts_of_every_axis,
    "QuantizeLinear": is_per_tensor,
    "Slice": _has_bounds_of_every_axis,
    "Tile": _is_told_at_compile_time,
}
"""What operators that adapt by constants must have; the others always do."""


def _adapt_nothing(_node: ir.Node, _layout: Permutation, _editor: Editor) -> None:
    """Elementwise with one operand: the axes have no meaning."""


def _adapt_constants(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    """Elementwise with broadcasting: constant operands are transposed now."""
    for index, value in enumerate(node.inputs):
        operand = constant(value)
        if operand is None or operand.size == 1:
            continue
        aligned = operand.reshape((1,) * (len(layout) - operand.ndim) + operand.shape)
        node.replace_input_with(index, editor.constant(aligned.transpose(layout), f"{node.name}/operand"))


def _adapt_dequantised(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    """Elementwise, but for constants: they are transposed now, and their channels go with their axis."""
    integers = constant(node.inputs[0])
    if integers is None:
        return
    axis = channel_axis(node, integers.ndim)
    node.replace_input_with(0, editor.constant(integers.transpose(layout), f"{node.name}/stored"))
    if axis is not None:
        node.attributes.add(ir.AttrInt64("axis", inverse(layout)[axis]))


def _adapt_axis(node: ir.Node, layout: Permutation, _: Editor) -> None:
    """One axis attribute, by default the first or, of a softmax, the last."""
    default = -1 if node.op_type.endswith("Softmax") else 0
    axis = integer(node, "axis", default) % len(layout)
    node.attributes.add(ir.AttrInt64("axis", inverse(layout)[axis]))


def _adapt_axis_input(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    """One axis as the second input."""
    (axis,) = input_integers(node, 1) or (0,)
    moved = np.array(inverse(layout)[axis % len(layout)], np.int64)
    node.replace_input_with(1, editor.constant(moved, f"{node.name}/axis"))


def _adapt_tile(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    repeats = np.array(input_integers(node, 1), np.int64)
    node.replace_input_with(1, editor.constant(repeats[list(layout)], f"{node.name}/repeats"))


def _adapt_pad(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    pads = np.array(input_integers(node, 1)).reshape(2, -1)
    node.replace_input_with(1, editor.constant(pads[:, layout].reshape(-1), f"{node.name}/pads"))


def _adapt_slice(node: ir.Node, layout: Permutation, editor: Editor) -> None:
    """Parameters stand for axes 0, 1, … in order, so that they permute like a shape."""
    for index, name in ((1, "starts"), (2, "ends"), (4, "steps")):
        numbers = np.array(input_integers(node, index), np.int64)
        node.replace_input_with(index, editor.constant(numbers[list(layout)], f"{node.name}/{name}"))


_ADAPTERS: dict[str, Callable[[ir.Node, Permutation, Editor], None]] = {
    **dict.fromkeys(UNARY, _adapt_nothing),
    **dict.fromkeys(BROADCASTING, _adapt_constants),
    "Cast": _adapt_nothing,
    "QuantizeLinear": _adapt_nothing,
    "DequantizeLinear": _adapt_dequantised,
    "Identity": _adapt_nothing,
    **dict.fromkeys(("ArgMax", "ArgMin", "Concat", "LogSoftmax", "Softmax", "Split"), _adapt_axis),
    "CumSum": _adapt_axis_input,
    "Tile": _adapt_tile,
    "Pad": _adapt_pad,
    "Slice": _adapt_slice,
    **dict.fromkeys(REDUCTIONS, adapt_reduction),
}
