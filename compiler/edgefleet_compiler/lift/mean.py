"""MEAN: ReduceMean."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_mean(site: Site) -> ir.Value:
    """MEAN over the axes of its second input, which may count from the end."""
    source = site.tensor(0).shape
    given = [int(axis) for axis in site.integers(1).ravel()]
    site.require(all(-len(source) <= axis < len(source) for axis in given), f"averages axes {given} of {list(source)}")
    axes = sorted({axis % len(source) for axis in given})
    kept = [1 if axis in axes else extent for axis, extent in enumerate(source)]
    keep_dims: bool = site.option("keep_dims")
    shape = kept if keep_dims else [extent for axis, extent in enumerate(source) if axis not in axes]
    return site.emit(
        "ReduceMean",
        [site.value(0), site.constant("axes", np.array(axes, dtype=np.int64))],
        shape,
        {"keepdims": int(keep_dims), "noop_with_empty_axes": 1},
    )
