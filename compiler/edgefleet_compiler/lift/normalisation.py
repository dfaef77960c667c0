"""LOCAL_RESPONSE_NORMALIZATION: LRN, between Transposes. L2_NORMALIZATION: a division by a length."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import TO_NCHW, TO_NHWC, Site

_SHORTEST = 1e-6
"""Shorter vectors count as this long (LiteRT, ``reference/l2normalization.h``)."""


def lift_local_response_normalization(site: Site) -> ir.Value:
    """LOCAL_RESPONSE_NORMALIZATION; ONNX divides alpha by the window's size, TFLite does not."""
    shape = site.tensor(0).shape
    site.require(len(shape) == 4, f"takes an image of shape {list(shape)}", "N, H, W, C")
    size = 2 * site.option("radius") + 1
    image = site.permute(site.value(0), TO_NCHW, "NCHW")
    attributes = {
        "size": size,
        "bias": site.option("bias"),
        "alpha": site.option("alpha") * size,
        "beta": site.option("beta"),
    }
    normalised = site.emit("LRN", [image], [shape[axis] for axis in TO_NCHW], attributes)
    return site.permute(normalised, TO_NHWC, "NHWC")


def lift_l2_normalization(site: Site) -> ir.Value:
    """L2_NORMALIZATION along the last axis."""
    shape = site.tensor(0).shape
    narrow = (*shape[:-1], 1)
    value = site.value(0)
    squares = site.emit("Mul", [value, value], shape, label="squares")
    axes = site.constant("axes", np.array([len(shape) - 1], np.int64))
    summed = site.emit("ReduceSum", [squares, axes], narrow, {"keepdims": 1}, label="sum")
    length = site.emit("Sqrt", [summed], narrow, label="length")
    least = site.constant("shortest", np.array(_SHORTEST, np.float32))
    bounded = site.emit("Max", [length, least], narrow, label="bounded")
    return fused_activation(site, site.emit("Div", [value, bounded], shape))
