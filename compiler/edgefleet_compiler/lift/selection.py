"""SELECT and SELECT_V2: Where."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site, Unliftable


def lift_selection(site: Site) -> ir.Value:
    """The second input where the first is true, else the third; all broadcast, in the older form none does."""
    shapes = [site.tensor(position).shape for position in range(3)]
    if site.kind == "SELECT" and len(set(shapes)) > 1:
        raise Unliftable("its condition has another shape than its operands")
    site.require(site.tensor(0).dtype == np.bool_, f"chooses by {site.tensor(0).dtype}", "bool")
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        shape = ()
        site.require(False, f"takes shapes {[list(shape) for shape in shapes]}", "shapes that broadcast")
    return site.emit("Where", [site.any_value(0), site.value(1), site.value(2)], shape)
