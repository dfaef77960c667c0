"""Nodes that give back their input are removed.

Source: ONNX operator specification. ``Identity``; ``Dropout`` outside training; ``Cast`` to the type there is;
``Transpose`` by the identity; ``Reshape`` to the shape there is; ``Pad`` by nothing; ``Slice`` of everything;
``Concat``, ``Max`` and ``Min`` of one; adding 0 and multiplying by 1. Of these only ``-0.0 + 0.0 = 0.0`` changes a
bit, and no value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, has_static_shape, input_integers, integers, shape_of
from edgefleet_compiler.passes.record import Effects


def remove_no_ops(model: ir.Model) -> Effects:
    """Remove nodes whose output is their first input."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type == "Dropout" and not is_training(node):
            effects["made {} Dropout masks constant"] += int(_keep_all(node, editor))
        changes_nothing = _CHANGES_NOTHING.get(node.op_type)
        if changes_nothing is None or not changes_nothing(node):
            continue
        if editor.bypass(node):
            effects[f"removed {{}} {node.op_type} without effect"] += 1
        elif node.op_type != "Identity" and len(node.outputs) == 1:
            editor.rewrite(node, "Identity", node.inputs[:1])
            effects[f"made {{}} {node.op_type} an Identity"] += 1
    return +effects


def _always(_: ir.Node) -> bool:
    return True


def is_training(node: ir.Node) -> bool:
    """Whether a Dropout may be in training mode: by its third input, unless that is constant and false."""
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    return mode is not None and not _is_everywhere(mode, 0)


def _keep_all(node: ir.Node, editor: Editor) -> bool:
    """Let the mask of a Dropout that drops nothing be a constant; False where nobody asks for it."""
    mask = node.outputs[1] if len(node.outputs) > 1 else None
    if mask is None or not (mask.uses() or mask.is_graph_output()):
        return False
    shape = shape_of(mask)
    attributes = {"value": ir.Tensor(np.ones(shape, np.bool_))}
    kept = editor.node(
        "Constant",
        [],
        name=f"{node.name}/mask",
        shape=shape,
        dtype=ir.DataType.BOOL,
        attributes=attributes,
        before=node,
    )
    editor.replace(mask, kept)
    node.resize_outputs(1)
    return True


def _drops_nothing(node: ir.Node) -> bool:
    return not is_training(node) and not any(value.uses() for value in node.outputs[1:])


def _keeps_type(node: ir.Node) -> bool:
    return node.inputs[0] is not None and node.inputs[0].dtype == node.outputs[0].dtype


def _keeps_axes(node: ir.Node) -> bool:
    permutation = integers(node, "perm")
    return permutation is not None and permutation == tuple(range(len(permutation)))


def _pads_nothing(node: ir.Node) -> bool:
    pads = input_integers(node, 1)
    return pads is not None and not any(pads)


def _keeps_shape(node: ir.Node) -> bool:
    source, output = node.inputs[0], node.outputs[0]
    if source is None or not (has_static_shape(source) and has_static_shape(output)):
        return False
    return shape_of(source) == shape_of(output)


def _slices_nothing(node: ir.Node) -> bool:
    """Whether every element stays, and none of them backwards."""
    return _keeps_shape(node) and all(step > 0 for step in input_integers(node, 4) or ())


def _is_alone(node: ir.Node) -> bool:
    return len(node.inputs) == 1


def _adds_zero(node: ir.Node) -> bool:
    return _keeps_shape(node) and _is_everywhere(node.inputs[1], 0)


def _multiplies_by_one(node: ir.Node) -> bool:
    return _keeps_shape(node) and _is_everywhere(node.inputs[1], 1)


def _is_everywhere(value: ir.Value | None, number: int) -> bool:
    array = constant(value)
    return array is not None and bool(np.all(array == number))


_CHANGES_NOTHING: dict[str, Callable[[ir.Node], bool]] = {
    "Identity": _always,
    "Dropout": _drops_nothing,
    "Cast": _keeps_type,
    "Transpose": _keeps_axes,
    "Pad": _pads_nothing,
    "Reshape": _keeps_shape,
    "Slice": _slices_nothing,
    "Concat": _is_alone,
    "Max": _is_alone,
    "Min": _is_alone,
    "Add": _adds_zero,
    "Mul": _multiplies_by_one,
}
