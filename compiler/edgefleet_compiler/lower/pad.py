"""Pad: PAD with zeros, PADV2 with another constant, MIRROR_PAD by reflection."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site


def pad_demand(node: ir.Node) -> Demand:
    """Any order for images; the columns of matrices stay."""
    return EITHER if len(shape_of(node.outputs[0])) > 2 else AS_IS


def lower_pad(site: Site) -> None:
    """Lower a Pad with constant amounts; int8 tensors are padded with the zero point, which is zero."""
    mode = site.node.attributes.get_string("mode", "constant")
    if mode not in {"constant", "reflect"}:
        site.refuse(f"mode {mode!r}; TFLite pads with a constant or by reflection")
    amounts = _amounts(site)
    if (amounts < 0).any():
        site.refuse("negative padding; a Slice says the same")
    tensor = site.input()
    layout = site.output_layout
    paddings = site.add_setting("paddings", amounts[list(layout.axes)].tolist())
    value = site.setting(2, "padding value")
    if mode == "reflect":
        site.finish("MIRROR_PAD", [tensor, paddings], {"mode": "REFLECT"})
    elif value is None or not value.any():
        site.finish("PAD", [tensor, paddings])
    else:
        site.finish("PADV2", [tensor, paddings, site.add_like_output("padding", value.astype(np.float32).reshape(1))])


def _amounts(site: Site) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Shape (rank, 2): elements before and after each axis."""
    rank = len(site.output_shape)
    given = site.setting(1, "amounts")
    assert given is not None, "Pad has amounts since opset 11"
    chosen = site.setting(3, "axes")
    axes = range(rank) if chosen is None else [int(axis) % rank for axis in chosen]
    amounts = np.zeros((rank, 2), np.int64)
    amounts[list(axes)] = given.astype(np.int64).reshape(2, -1).T
    return amounts
