"""Pad: PAD with zeros, PADV2 with another constant, MIRROR_PAD by reflection, GATHER of border elements otherwise."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lowered.graph import AttributeValue

Amounts = NDArray[np.int64]

MOST_AXES = 5
"""TFLite's ``PadKernelMaxDimensionCount``."""


def pad_demand(node: ir.Node) -> Demand:
    """Any order for images; the columns of matrices stay."""
    return EITHER if len(shape_of(node.outputs[0])) > 2 else AS_IS


def lower_pad(site: Site) -> None:
    """Lower a Pad with constant amounts; int8 tensors are padded with the zero point, which is zero.

    A negative amount takes elements away.
    """
    mode = site.node.attributes.get_string("mode", "constant")
    amounts = _amounts(site)[list(site.output_layout.axes)]
    if mode in {"edge", "wrap"}:
        _gather(site, mode, amounts)
        return
    if len(amounts) > MOST_AXES and mode == "constant":
        site.refuse(f"it pads a tensor of {len(amounts)} axes; TFLite takes up to {MOST_AXES}")
    tensor = _cropped(site, np.minimum(amounts, 0))
    paddings = site.add_setting("paddings", np.maximum(amounts, 0).tolist())
    value = site.setting(2, "padding value")
    if mode == "reflect":
        if (amounts < 0).any():
            site.refuse("it reflects and takes elements away")
        site.finish("MIRROR_PAD", [tensor, paddings], {"mode": "REFLECT"})
    elif value is None or not value.any():
        site.finish("PAD", [tensor, paddings])
    else:
        site.finish("PADV2", [tensor, paddings, site.add_like_output("padding", value.astype(np.float64).reshape(1))])


def _cropped(site: Site, amounts: Amounts) -> str:
    """The input without the elements that negative amounts take away."""
    tensor = site.input()
    if not amounts.any():
        return tensor
    begin = -amounts[:, 0]
    size = [int(extent) for extent in site.stored_shape(tensor) + amounts.sum(axis=1)]
    settings = [site.add_setting("begin", begin.tolist()), site.add_setting("size", size)]
    return site.emit("SLICE", [tensor, *settings], tuple(size), like=tensor)


def _gather(site: Site, mode: str, amounts: Amounts) -> None:
    """Repeat the outermost elements (edge), or go on at the other end (wrap), one axis at a time."""
    tensor = site.input()
    for axis, (before, after) in enumerate(amounts.tolist()):
        shape = site.stored_shape(tensor)
        if not (before or after):
            continue
        places = np.arange(-before, shape[axis] + after)
        indices = places % shape[axis] if mode == "wrap" else places.clip(0, shape[axis] - 1)
        padded = (*shape[:axis], len(indices), *shape[axis + 1 :])
        options: dict[str, AttributeValue] = {"axis": axis, "batch_dims": 0}
        tensor = site.emit("GATHER", [tensor, site.add_setting("indices", indices.tolist())], padded, options)
    site.finish_with(tensor)


def _amounts(site: Site) -> Amounts:
    """Shape (rank, 2): elements before and after each axis."""
    rank = len(site.output_shape)
    given = site.setting(1, "amounts")
    assert given is not None, "Pad has amounts since opset 11"
    chosen = site.setting(3, "axes")
    axes = range(rank) if chosen is None else [int(axis) % rank for axis in chosen]
    amounts = np.zeros((rank, 2), np.int64)
    amounts[list(axes)] = given.astype(np.int64).reshape(2, -1).T
    return amounts
