"""PACK: Concat of operands that get an axis of one element each."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_pack(site: Site) -> ir.Value:
    """PACK along a new axis, the option ``axis``, which may count from the end."""
    count, source = len(site.operator.inputs), site.tensor(0).shape
    axis = site.option("axis")
    site.require(-len(source) - 1 <= axis <= len(source), f"packs {list(source)} along axis {axis}")
    axis %= len(source) + 1
    shapes = [site.tensor(position).shape for position in range(count)]
    site.require(all(shape == source for shape in shapes), f"packs shapes {[list(shape) for shape in shapes]}")
    widened = [*source[:axis], 1, *source[axis:]]
    shape = site.constant("widened", np.array(widened, dtype=np.int64))
    values = [
        site.emit("Reshape", [site.value(position), shape], widened, label=f"widened_{position}")
        for position in range(count)
    ]
    return site.emit("Concat", values, [*source[:axis], count, *source[axis:]], {"axis": axis})
