"""OneHot: ONE_HOT."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lower.site import Site


def lower_one_hot(site: Site) -> None:
    """Lower a OneHot with constant depth and values.

    ONNX lets an index count from the end, and takes indices of any type; TFLite wants integers, and has no entry for
    negative ones. What is outside of both ranges has no entry in either.
    """
    depth, values = site.setting(1, "depth"), site.setting(2, "values")
    assert depth is not None
    assert values is not None
    given = site.input()
    extent = int(depth.item())
    if site.stored_type(given) not in {np.dtype(np.int32), np.dtype(np.int64)}:
        given = site.emit("CAST", [given], site.stored_shape(given), dtype=np.dtype(np.int32))
    indices = _from_front(site, given, extent)
    off, on = (site.add_constant(name, np.asarray(value)) for name, value in zip(("off", "on"), values, strict=True))
    rank = len(site.output_shape)
    axis = site.node.attributes.get_int("axis", -1) % rank
    operands = [indices, site.add_scalar("depth", extent), on, off]
    site.finish("ONE_HOT", operands, {"axis": -1 if axis == rank - 1 else axis})


def _from_front(site: Site, given: str, extent: int) -> str:
    dtype, shape = site.stored_type(given), site.stored_shape(given)
    raised = site.emit("ADD", [given, site.add_constant("depth", np.array(extent, dtype))], shape, like=given)
    zero = site.add_constant("zero", np.zeros((), dtype))
    negative = site.emit("LESS", [given, zero], shape, dtype=np.dtype(np.bool_))
    return site.emit("SELECT_V2", [negative, raised, given], shape, like=given)
