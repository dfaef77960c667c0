"""Operators that only move elements: RESHAPE, PAD, CONCATENATION, TRANSPOSE, SLICE and their like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgefleet_compiler.emulate.site import Run, Site, Values, zero_point


def reshape(site: Site) -> Run:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the shape is the output's."""
    shape = site.output.shape
    return lambda values: values[0].reshape(len(values[0]), *shape)


def transpose(site: Site) -> Run:
    """TRANSPOSE."""
    axes = (0, *(int(axis) + 1 for axis in site.constant(1).reshape(-1)))
    return lambda values: values[0].transpose(axes)


def pad(site: Site) -> Run:
    """PAD with what stands for zero, PADV2 with a constant."""
    amounts = ((0, 0), *((int(before), int(after)) for before, after in site.constant(1)))
    value = site.constant(2).reshape(()) if site.has_input(2) else zero_point(site.output)
    return lambda values: np.pad(values[0], amounts, constant_values=value)


def concatenation(site: Site) -> Run:
    """CONCATENATION of tensors of one scale: the kernels of integers change none."""
    rank = len(site.output.shape)
    axis = site.operator.integer("axis") % rank + 1
    if site.operator.attributes.get("fused_activation_function", "NONE") != "NONE":
        raise site.unsupported("an activation is fused into it")

    def run(values: Sequence[Values]) -> Values:
        cases = max(len(value) for value in values)
        return np.concatenate([np.broadcast_to(value, (cases, *value.shape[1:])) for value in values], axis=axis)

    return run


def part(site: Site) -> Run:
    """SLICE: where it begins and how much it takes, -1 for all that follows."""
    begins, sizes = (site.constant(position).reshape(-1) for position in (1, 2))
    index = tuple(
        slice(int(begin), None if size == -1 else int(begin + size)) for begin, size in zip(begins, sizes, strict=True)
    )
    return lambda values: values[0][(slice(None), *index)]


def strided_part(site: Site) -> Run:
    """STRIDED_SLICE without new axes or an ellipsis."""
    masks = {
        name: site.operator.integer(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    if masks["ellipsis"] or masks["new_axis"] or site.operator.attributes.get("offset"):
        raise site.unsupported("it has an ellipsis, new axes, or ends counted from where it begins")
    begins, ends, strides = (site.constant(position).reshape(-1).tolist() for position in (1, 2, 3))
    shape = site.output.shape

    def along(axis: int) -> slice:
        begin = None if masks["begin"] >> axis & 1 else begins[axis]
        if masks["shrink_axis"] >> axis & 1:
            return slice(begins[axis], begins[axis] + 1 or None)
        return slice(begin, None if masks["end"] >> axis & 1 else ends[axis], strides[axis])

    index = tuple(map(along, range(len(begins))))
    return lambda values: values[0][(slice(None), *index)].reshape(len(values[0]), *shape)


def nearest(site: Site) -> Run:
    """RESIZE_NEAREST_NEIGHBOR: TFLite's ``reference/resize_nearest_neighbor.h``, positions in float32."""
    rows, columns = (_nearest_of(site, axis) for axis in (1, 2))
    return lambda values: values[0][:, :, rows][:, :, :, columns]


def _nearest_of(site: Site, axis: int) -> Values:
    extent, outputs = site.input(0).shape[axis], site.output.shape[axis]
    corners = bool(site.operator.attributes.get("align_corners", False))
    centres = bool(site.operator.attributes.get("half_pixel_centers", False))
    to_corners = corners and outputs > 1
    factor = np.float32(extent - to_corners) / np.float32(outputs - to_corners)
    positions = (np.arange(outputs, dtype=np.float32) + np.float32(0.5 if centres else 0)) * factor
    rounded = np.floor(positions + np.float32(0.5)) if corners else np.floor(positions)
    return np.asarray(np.clip(rounded.astype(np.int64), 0, extent - 1))
