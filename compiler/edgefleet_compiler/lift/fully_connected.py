"""FULLY_CONNECTED: Gemm, between Reshapes where the input or output is not a matrix."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import Site, Unliftable


def lift_fully_connected(site: Site) -> ir.Value:
    """FULLY_CONNECTED; weights are outputs, inputs; all axes of the input but the features are rows."""
    if site.option("weights_format") != "DEFAULT":
        raise Unliftable(f"its weights are in the format {site.option('weights_format')}")
    source, weights = site.tensor(0).shape, site.tensor(1).shape
    site.require(
        len(weights) == 2 and min(weights) >= 1 and prod(source) % weights[1] == 0,
        f"has weights of {list(weights)} for an input of {list(source)}",
        "outputs, inputs",
    )
    outputs, features = weights
    rows = prod(source) // features
    operands = [_reshaped(site, site.value(0), source, (rows, features), "rows"), site.value(1)]
    if site.has(2):
        bias = site.tensor(2).shape
        site.require(bias == (outputs,), f"has a bias of {list(bias)} for {outputs} outputs")
        operands.append(site.value(2))
    result = fused_activation(site, site.emit("Gemm", operands, (rows, outputs), {"transB": 1}))
    if not site.option("keep_num_dims"):
        return result
    site.require(source[-1] == features, f"keeps the axes of {list(source)}, whose last is not {features}")
    return _reshaped(site, result, (rows, outputs), (*source[:-1], outputs), "axes")


def _reshaped(site: Site, value: ir.Value, old: tuple[int, ...], new: tuple[int, ...], label: str) -> ir.Value:
    if old == new:
        return value
    shape = site.constant(f"{label}/shape", np.array(new, dtype=np.int64))
    return site.emit("Reshape", [value, shape], new, label=label)
