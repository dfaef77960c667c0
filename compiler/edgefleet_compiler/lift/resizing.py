"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR: Resize, between Transposes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import TO_NCHW, TO_NHWC, Site


def lift_resize(site: Site) -> ir.Value:
    """A resize of an image to the extents in its second input."""
    image, extents = site.tensor(0).shape, [int(extent) for extent in site.integers(1).ravel()]
    site.require(
        len(image) == 4 and len(extents) == 2 and min(extents) >= 1, f"resizes {list(image)} to {extents}", "N, H, W, C"
    )
    shape = (image[0], image[3], *extents)
    nothing = site.constant("scales", np.zeros(0, dtype=np.float32))
    region = site.constant("roi", np.zeros(0, dtype=np.float32))
    sizes = site.constant("sizes", np.array(shape, dtype=np.int64))
    corners, centres = site.option("align_corners"), site.option("half_pixel_centers")
    attributes: dict[str, int | float | str | list[int]] = {
        "mode": "linear",
        "coordinate_transformation_mode": "align_corners" if corners else "half_pixel" if centres else "asymmetric",
    }
    if site.kind == "RESIZE_NEAREST_NEIGHBOR":
        # The kernel rounds where corners are aligned, and else cuts off, but adds half a pixel with half-pixel centres.
        rounds = corners or centres
        attributes |= {"mode": "nearest", "nearest_mode": "round_prefer_ceil" if rounds else "floor"}
    operands = [site.permute(site.value(0), TO_NCHW, "NCHW"), region, nothing, sizes]
    return site.permute(site.emit("Resize", operands, shape, attributes), TO_NHWC, "NHWC")
