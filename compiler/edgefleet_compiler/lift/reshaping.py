"""RESHAPE, SQUEEZE and EXPAND_DIMS: Reshape to the shape that the file declares, all shapes being static."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_reshape(site: Site) -> ir.Value:
    """RESHAPE, SQUEEZE or EXPAND_DIMS."""
    source, target = site.tensor(0).shape, site.output.shape
    site.require(prod(source) == prod(target), f"makes {list(target)} of {list(source)}", "as many elements")
    shape = site.constant("shape", np.array(target, dtype=np.int64))
    return site.emit("Reshape", [site.value(0), shape], target)
