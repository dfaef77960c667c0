"""CONCATENATION: Concat."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import Site


def lift_concatenation(site: Site) -> ir.Value:
    """CONCATENATION along the option ``axis``, which may count from the end."""
    shapes = [site.tensor(position).shape for position in range(len(site.operator.inputs))]
    rank, axis = len(site.tensor(0).shape), site.option("axis")
    site.require(-rank <= axis < rank, f"joins along axis {axis} of {rank}")
    axis %= rank
    site.require(
        all(_without(shape, axis) == _without(shapes[0], axis) for shape in shapes),
        f"joins shapes {[list(shape) for shape in shapes]} along axis {axis}",
        "shapes that differ along that axis only",
    )
    joined = sum(shape[axis] for shape in shapes)
    shape = (*shapes[0][:axis], joined, *shapes[0][axis + 1 :])
    values = [site.value(position) for position in range(len(shapes))]
    return fused_activation(site, site.emit("Concat", values, shape, {"axis": axis}))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], -1, *shape[axis + 1 :])
