"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN and REDUCE_PROD: ReduceMean and so on."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site

_OP_TYPES: Final = {
    "MEAN": "ReduceMean",
    "SUM": "ReduceSum",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "REDUCE_PROD": "ReduceProd",
}


def lift_reduction(site: Site) -> ir.Value:
    """A reduction over the axes of its second input, which may count from the end."""
    source = site.tensor(0).shape
    given = [int(axis) for axis in site.integers(1).ravel()]
    site.require(all(-len(source) <= axis < len(source) for axis in given), f"reduces axes {given} of {list(source)}")
    axes = sorted({axis % len(source) for axis in given})
    kept = [1 if axis in axes else extent for axis, extent in enumerate(source)]
    keep_dims: bool = site.option("keep_dims")
    shape = kept if keep_dims else [extent for axis, extent in enumerate(source) if axis not in axes]
    return site.emit(
        _OP_TYPES[site.kind],
        [site.value(0), site.constant("axes", np.array(axes, dtype=np.int64))],
        shape,
        {"keepdims": int(keep_dims), "noop_with_empty_axes": 1},
    )
