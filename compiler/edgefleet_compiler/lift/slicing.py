"""SLICE and STRIDED_SLICE: Slice, and a Reshape where axes are dropped."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site, Unliftable


def lift_slice(site: Site) -> ir.Value:
    """SLICE of ``size`` elements from ``begin`` along each axis; a size of -1 takes all that are left."""
    source, begin, size = site.tensor(0).shape, site.integers(1), site.integers(2)
    site.require(begin.shape == size.shape == (len(source),), f"slices {list(source)} by {begin.shape}, {size.shape}")
    extents = np.array(source)
    ends = np.where(size == -1, extents, begin + size)
    site.require(
        bool(np.all((begin >= 0) & (begin < ends) & (ends <= extents))),
        f"takes {size.tolist()} elements from {begin.tolist()} of {list(source)}",
    )
    return _sliced(site, list(map(slice, begin.tolist(), ends.tolist())))


def lift_strided_slice(site: Site) -> ir.Value:
    """STRIDED_SLICE, as Python slices; bit i of a mask is about axis i.

    Raises:
        Unliftable: Masks that insert axes or stand for several.
    """
    for name in ("ellipsis_mask", "new_axis_mask", "offset"):
        if site.option(name):
            raise Unliftable(f"its option {name} is {site.option(name)}")
    source = site.tensor(0).shape
    begin, end, strides = (site.integers(position) for position in (1, 2, 3))
    site.require(
        begin.shape == end.shape == strides.shape == (len(source),) and bool(np.all(strides != 0)),
        f"slices {list(source)} by {begin.tolist()}, {end.tolist()}, {strides.tolist()}",
        "a begin, an end and a stride to each axis",
    )
    shrink = site.option("shrink_axis_mask")
    slices = []
    for axis, extent in enumerate(source):
        start = None if site.option("begin_mask") >> axis & 1 else int(begin[axis])
        stop = None if site.option("end_mask") >> axis & 1 else int(end[axis])
        if shrink >> axis & 1:
            first = start or 0
            site.require(-extent <= first < extent, f"takes element {first} of {extent}")
            first %= extent
            slices.append(slice(first, first + 1))
        else:
            slices.append(slice(*slice(start, stop, int(strides[axis])).indices(extent)))
    result = _sliced(site, slices)
    kept = [extent for axis, extent in enumerate(_extents(slices)) if not shrink >> axis & 1]
    if not shrink:
        return result
    return site.emit("Reshape", [result, site.constant("kept", np.array(kept, dtype=np.int64))], kept, label="kept")


def _sliced(site: Site, slices: list[slice]) -> ir.Value:
    shape = _extents(slices)
    site.require(min(shape, default=1) >= 1, f"takes nothing of {list(site.tensor(0).shape)}")
    bounds = {
        "starts": [each.start for each in slices],
        # An end of -1 would mean the last element; before the first is anything below -extent.
        "ends": [each.stop if each.stop >= 0 else np.iinfo(np.int64).min + 1 for each in slices],
        "axes": range(len(slices)),
        "steps": [each.step or 1 for each in slices],
    }
    constants = [site.constant(name, np.array(list(values), dtype=np.int64)) for name, values in bounds.items()]
    return site.emit("Slice", [site.value(0), *constants], shape)


def _extents(slices: list[slice]) -> list[int]:
    return [len(range(each.start, each.stop, each.step or 1)) for each in slices]
