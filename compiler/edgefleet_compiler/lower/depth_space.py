"""DepthToSpace and SpaceToDepth: DEPTH_TO_SPACE and SPACE_TO_DEPTH, which keep the channels of a block apart (DCR)."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lower.site import Site


def lower_depth_to_space(site: Site) -> None:
    """Lower a DepthToSpace; the mode CRD has its channels reordered first."""
    tensor, block = site.input(), site.node.attributes.get_int("blocksize")
    shape = site.stored_shape(tensor)
    if site.node.attributes.get_string("mode", "DCR") == "CRD":
        order = np.arange(shape[3]).reshape(-1, block * block).T.reshape(-1)
        indices = site.add_setting("channels", order.tolist())
        tensor = site.emit("GATHER", [tensor, indices], shape, {"axis": 3, "batch_dims": 0}, like=tensor)
    site.finish("DEPTH_TO_SPACE", [tensor], {"block_size": block})


def lower_space_to_depth(site: Site) -> None:
    """Lower a SpaceToDepth."""
    site.finish("SPACE_TO_DEPTH", [site.input()], {"block_size": site.node.attributes.get_int("blocksize")})
