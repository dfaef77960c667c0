"""SOFTMAX over the last axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_softmax(site: Site) -> ir.Value:
    """SOFTMAX of ``beta`` times the input; 1 in all but a few models."""
    value, shape = site.value(0), site.tensor(0).shape
    site.require(len(shape) >= 1, "takes a scalar")
    beta = site.option("beta")
    if beta != 1.0:
        value = site.emit(
            "Mul", [value, site.constant("beta", np.array(beta, dtype=np.float32))], shape, label="scaled"
        )
    return site.emit("Softmax", [value], shape, {"axis": -1})
