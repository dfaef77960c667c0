"""Resize gets its parameters in one form: scales, or sizes, for every axis, and a region only where it crops.

Source: ONNX operator specification, ``Resize``: ``axes`` names the axes that the parameters are for, and
``keep_aspect_ratio_policy`` makes one scale of several sizes.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, integers, rank_of, shape_of, text
from edgefleet_compiler.passes.record import Effects

Floats = NDArray[np.float64]


def write_out_resizes(model: ir.Model) -> Effects:
    """Write out the parameters of every Resize."""
    effects = Effects()
    editor = Editor(model.graph)
    for node in list(model.graph):
        if node.op_type == "Resize" and node.inputs[0] is not None:
            effects["wrote out the parameters of {} Resize"] += int(_write_out(node, editor))
    return +effects


def _write_out(node: ir.Node, editor: Editor) -> bool:
    source = node.inputs[0]
    assert source is not None
    rank = rank_of(source)
    region, scales, sizes = (_given(node, index) for index in (1, 2, 3))
    crops = text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    policy = text(node, "keep_aspect_ratio_policy", "stretch")
    axes = [axis % rank for axis in integers(node, "axes") or range(rank)]
    if "axes" not in node.attributes and policy == "stretch" and (crops or region is None):
        return False
    if sizes is not None and policy != "stretch":
        scales = _kept_ratio(node, sizes, np.array(shape_of(source), np.float64)[axes])
    inputs: list[ir.Value | None] = [source, None]
    if crops and region is not None:
        starts = _for_every_axis(region[: len(axes)], axes, rank, 0)
        ends = _for_every_axis(region[len(axes) :], axes, rank, 1)
        inputs[1] = editor.constant(np.concatenate([starts, ends]).astype(np.float32), f"{node.name}/roi")
    if scales is not None:
        full = _for_every_axis(scales, axes, rank, 1).astype(np.float32)
        inputs.append(editor.constant(full, f"{node.name}/scales"))
    else:
        inputs += [None, editor.constant(np.array(shape_of(node.outputs[0]), np.int64), f"{node.name}/sizes")]
    kept = {
        name: attribute.value
        for name, attribute in node.attributes.items()
        if name not in ("axes", "keep_aspect_ratio_policy")
    }
    editor.rewrite(node, "Resize", inputs, kept)
    return True


def rounds_sizes(node: ir.Node) -> bool:
    """Whether the extents do not follow exactly from the scales, which runtimes then read in different ways.

    By ``align_corners`` the specification counts with an extent that is no whole number, and onnxruntime with the
    rounded one; a policy of the aspect ratio rounds to nearest where scales round down.
    """
    source, scales = node.inputs[0], _given(node, 2)
    assert source is not None
    rank = rank_of(source)
    axes = [axis % rank for axis in integers(node, "axes") or range(rank)]
    extents = np.array(shape_of(source), np.float64)[axes]
    if scales is None and text(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        sizes = _given(node, 3)
        assert sizes is not None
        scales = _kept_ratio(node, sizes, extents)
    elif text(node, "coordinate_transformation_mode", "half_pixel") != "align_corners":
        return False
    if scales is None:
        return False
    exact = extents * scales
    return bool(np.any(np.abs(exact - np.rint(exact)) > 1e-4))


def _kept_ratio(node: ir.Node, sizes: Floats, extents: Floats) -> Floats:
    """The one scale of all axes that its policy makes of sizes."""
    ratios = sizes / extents
    policy = text(node, "keep_aspect_ratio_policy", "stretch")
    return np.full(len(ratios), ratios.min() if policy == "not_larger" else ratios.max())


def _given(node: ir.Node, index: int) -> Floats | None:
    """A parameter; None where it is left out, which an empty one means too."""
    array = constant(node.inputs[index]) if index < len(node.inputs) else None
    return None if array is None or array.size == 0 else array.astype(np.float64)


def _for_every_axis(numbers: Floats, axes: list[int], rank: int, default: float) -> Floats:
    full = np.full(rank, default, np.float64)
    full[axes] = numbers
    return full
