"""DEPTH_TO_SPACE and SPACE_TO_DEPTH, between Transposes."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.site import TO_NCHW, TO_NHWC, Site


def lift_blocks(site: Site) -> ir.Value:
    """DEPTH_TO_SPACE or SPACE_TO_DEPTH; both number the elements of a block before the channels, as ONNX's DCR does."""
    image, block = site.tensor(0).shape, site.option("block_size")
    site.require(len(image) == 4 and block > 0, f"takes blocks of {block} of {list(image)}", "N, H, W, C")
    batch, rows, columns, channels = image
    spread = site.kind == "DEPTH_TO_SPACE"
    fits = channels % block**2 == 0 if spread else rows % block == columns % block == 0
    site.require(fits, f"takes blocks of {block} of {list(image)}", "whole blocks")
    if spread:
        shape = (batch, channels // block**2, rows * block, columns * block)
    else:
        shape = (batch, channels * block**2, rows // block, columns // block)
    source = site.permute(site.value(0), TO_NCHW, "NCHW")
    operator = "DepthToSpace" if spread else "SpaceToDepth"
    return site.permute(site.emit(operator, [source], shape, {"blocksize": block}), TO_NHWC, "NHWC")
