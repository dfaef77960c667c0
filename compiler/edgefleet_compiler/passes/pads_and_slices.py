"""Pad and Slice get their parameters in one form: constants, one entry per axis.

Source: ONNX operator specification, ``Pad`` (``axes``, default value 0) and ``Slice`` (negative and out-of-range
positions are clamped).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, dtype_of, input_integers, rank_of, shape_of, text
from edgefleet_compiler.passes.record import Effects


def write_out_pads_and_slices(model: ir.Model) -> Effects:
    """Write out every parameter of Pad and Slice.

    Pad then has data, pads (begins then ends of every axis) and value. Slice has data, starts, ends, axes and steps
    for every axis; no position is negative, except the end of a slice that runs backwards to the first element.
    """
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    rewriters: dict[str, Callable[[ir.Node, Editor], bool]] = {"Pad": _write_out_pad, "Slice": _write_out_slice}
    for node in list(graph):
        rewriter = rewriters.get(node.op_type)
        if rewriter is not None and rewriter(node, editor):
            effects[f"wrote out the parameters of {{}} {node.op_type}"] += 1
    return effects


def _write_out_pad(node: ir.Node, editor: Editor) -> bool:
    data, pads = node.inputs[0], input_integers(node, 1)
    if data is None or pads is None:
        return False
    rank = rank_of(data)
    is_complete = len(node.inputs) == 3 and constant(node.inputs[2]) is not None and len(pads) == 2 * rank
    mode = text(node, "mode", "constant")
    if is_complete or (mode != "constant" and len(node.inputs) == 2):
        return False
    axes = input_integers(node, 3) or tuple(range(rank))
    full = np.zeros((2, rank), np.int64)
    full[:, [axis % rank for axis in axes]] = np.array(pads).reshape(2, -1)
    inputs = [data, editor.constant(full.reshape(-1), f"{node.name}/pads")]
    if mode == "constant":
        value = node.inputs[2] if len(node.inputs) > 2 else None
        inputs.append(value or editor.constant(np.zeros((), dtype_of(data).numpy()), f"{node.name}/value"))
    editor.rewrite(node, "Pad", inputs, {"mode": mode})
    return True


def _write_out_slice(node: ir.Node, editor: Editor) -> bool:
    data, starts, ends = node.inputs[0], input_integers(node, 1), input_integers(node, 2)
    if data is None or starts is None or ends is None:
        return False
    shape = shape_of(data)
    axes = input_integers(node, 3) or tuple(range(len(starts)))
    steps = input_integers(node, 4) or (1,) * len(starts)
    ranges = [slice(0, size, 1) for size in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        begin, stop, stride = slice(start, end, step).indices(shape[axis])
        # Python writes "down to the first element" as -1, which ONNX reads as the last one.
        ranges[axis] = slice(begin, stop if stop >= 0 else -shape[axis] - 1, stride)
    wanted = [
        [entry.start for entry in ranges],
        [entry.stop for entry in ranges],
        list(range(len(shape))),
        [entry.step for entry in ranges],
    ]
    if [list(input_integers(node, index) or ()) for index in range(1, 5)] == wanted:
        return False
    names = ("starts", "ends", "axes", "steps")
    parameters = [
        editor.constant(np.array(numbers, np.int64), f"{node.name}/{name}")
        for numbers, name in zip(wanted, names, strict=True)
    ]
    editor.rewrite(node, "Slice", [data, *parameters])
    return True
