"""Slice: STRIDED_SLICE."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site


def slice_demand(node: ir.Node) -> Demand:
    """Any order for images; the columns of matrices stay."""
    return EITHER if len(shape_of(node.outputs[0])) > 2 else AS_IS


def lower_slice(site: Site) -> None:
    """Lower a Slice with constant bounds.

    Bounds are clamped here as ONNX's specification has it, so that TFLite gets only such as mean the same there. An
    end before the first element, as backward slices have it, cannot be written as an index and goes into the mask.
    """
    shape = site.shape(0)
    rank = len(shape)
    begin, end, strides = [0] * rank, list(shape), [1] * rank
    open_ended = 0
    layout = site.output_layout
    for axis, (start, stop, step) in _bounds(site).items():
        first, beyond, stride = slice(start, stop, step).indices(shape[axis])
        begin[axis], end[axis], strides[axis] = first, beyond, stride
        if beyond < 0:
            end[axis] = 0
            open_ended |= 1 << layout.position(axis)
    settings = [
        site.add_setting(name, [values[axis] for axis in layout.axes])
        for name, values in (("begin", begin), ("end", end), ("strides", strides))
    ]
    site.finish("STRIDED_SLICE", [site.input(), *settings], {"end_mask": open_ended})


def _bounds(site: Site) -> dict[int, tuple[int, int, int]]:
    """Start, stop and step of each axis that is cut."""
    starts, stops = site.setting(1, "starts"), site.setting(2, "ends")
    assert starts is not None
    assert stops is not None
    chosen, given_steps = site.setting(3, "axes"), site.setting(4, "steps")
    axes = range(len(starts)) if chosen is None else [int(axis) for axis in chosen]
    steps = [1] * len(starts) if given_steps is None else [int(step) for step in given_steps]
    rank = len(site.shape(0))
    return {
        axis % rank: (int(start), int(stop), step)
        for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True)
    }
