"""REVERSE_V2: Slice with steps of -1."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_reverse(site: Site) -> ir.Value:
    """REVERSE_V2 along the axes of its second input, which may count from the end."""
    source = site.tensor(0).shape
    given = [int(axis) for axis in site.integers(1).ravel()]
    site.require(all(-len(source) <= axis < len(source) for axis in given), f"turns axes {given} of {list(source)}")
    axes = sorted({axis % len(source) for axis in given})
    bounds = {
        "starts": [source[axis] - 1 for axis in axes],
        "ends": [np.iinfo(np.int64).min + 1] * len(axes),  # before the first element
        "axes": axes,
        "steps": [-1] * len(axes),
    }
    constants = [site.constant(name, np.array(values, dtype=np.int64)) for name, values in bounds.items()]
    return site.emit("Slice", [site.value(0), *constants], source)
