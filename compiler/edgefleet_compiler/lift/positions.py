"""ARG_MAX, ARG_MIN, CUMSUM and ONE_HOT: operators along one axis that is an operand or an option."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site, Unliftable

_OP_TYPES: Final = {"ARG_MAX": "ArgMax", "ARG_MIN": "ArgMin"}


def lift_arg_extremum(site: Site) -> ir.Value:
    """ARG_MAX or ARG_MIN: the first of equal elements."""
    source, axis = site.tensor(0).shape, _axis(site, 1)
    shape = (*source[:axis], *source[axis + 1 :])
    found = site.emit(
        _OP_TYPES[site.kind],
        [site.any_value(0)],
        shape,
        {"axis": axis, "keepdims": 0},
        label="int64" if site.output.dtype != np.int64 else "",
        dtype=np.dtype(np.int64),
    )
    if site.output.dtype == np.int64:
        return found
    return site.emit("Cast", [found], shape, {"to": int(ir.DataType.from_numpy(site.output.dtype))})


def lift_cumsum(site: Site) -> ir.Value:
    """CUMSUM along a constant axis."""
    attributes = {name: int(site.option(name)) for name in ("exclusive", "reverse")}
    axis = site.constant("axis", np.array(_axis(site, 1), np.int64))
    return site.emit("CumSum", [site.value(0), axis], site.tensor(0).shape, attributes)


def lift_one_hot(site: Site) -> ir.Value:
    """ONE_HOT; what is negative has no entry here, and counts from the end in ONNX: it becomes what lies beyond.

    Raises:
        Unliftable: What stands at the entries is no constant.
    """
    indices, depth = site.tensor(0), int(site.integers(1).item())
    on, off = (site.tensor(position).data for position in (2, 3))
    site.require(depth > 0, f"has {depth} entries")
    if on is None or off is None:
        raise Unliftable("what it puts at the entries is computed at run time")
    given = site.any_value(0)
    zero, beyond = (
        site.constant(name, np.array(number, indices.dtype)) for name, number in (("zero", 0), ("beyond", depth))
    )
    negative = site.emit("Less", [given, zero], indices.shape, label="negative", dtype=np.dtype(np.bool_))
    inside = site.emit("Where", [negative, beyond, given], indices.shape, label="inside", dtype=indices.dtype)
    to_int64 = {"to": int(ir.DataType.INT64)}
    whole = site.emit("Cast", [inside], indices.shape, to_int64, label="whole", dtype=np.dtype(np.int64))
    values = site.constant("values", np.concatenate([np.reshape(off, (1,)), np.reshape(on, (1,))]))
    rank = len(indices.shape)
    axis: int = site.option("axis")
    site.require(-1 <= axis <= rank, f"puts its entries on axis {axis} of {rank + 1}")
    axis = rank if axis == -1 else axis
    shape = (*indices.shape[:axis], depth, *indices.shape[axis:])
    return site.emit(
        "OneHot", [whole, site.constant("depth", np.array(depth, np.int64)), values], shape, {"axis": axis}
    )


def _axis(site: Site, position: int) -> int:
    rank, given = len(site.tensor(0).shape), site.integers(position)
    site.require(given.size == 1 and -rank <= given.item() < rank, f"goes along axis {given.tolist()} of {rank}")
    return int(given.item()) % rank
