"""TILE and BROADCAST_TO: Tile and Expand."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_tile(site: Site) -> ir.Value:
    """TILE by constant multiples, one an axis."""
    source, multiples = site.tensor(0).shape, site.integers(1).ravel()
    site.require(
        len(multiples) == len(source) and bool(np.all((multiples > 0) & (multiples < 2**31))),
        f"repeats {list(source)} by {multiples.tolist()}",
        "a positive number to each axis",
    )
    shape = [extent * int(times) for extent, times in zip(source, multiples, strict=True)]
    return site.emit("Tile", [site.value(0), site.constant("multiples", multiples)], shape)


def lift_broadcast_to(site: Site) -> ir.Value:
    """BROADCAST_TO a constant shape."""
    source, shape = site.tensor(0).shape, [int(extent) for extent in site.integers(1).ravel()]
    ending = [1] * max(len(shape) - len(source), 0) + list(source)
    site.require(
        len(ending) == len(shape) and all(old in (1, new) for old, new in zip(ending, shape, strict=True)),
        f"makes {shape} of {list(source)}",
        "a shape that it broadcasts to",
    )
    return site.emit("Expand", [site.value(0), site.constant("shape", np.array(shape, np.int64))], shape)
