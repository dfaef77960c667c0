"""GlobalAveragePool, GlobalMaxPool, ReduceMean, ReduceSum, ReduceProd, ReduceMax and ReduceMin."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import integer, shape_of
from edgefleet_compiler.lower.constants import constant_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand, Need, channels_last
from edgefleet_compiler.lower.site import Site

KINDS = {
    "GlobalAveragePool": "MEAN",
    "GlobalMaxPool": "REDUCE_MAX",
    "ReduceMean": "MEAN",
    "ReduceProd": "REDUCE_PROD",
    "ReduceSum": "SUM",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMin": "REDUCE_MIN",
}


KINDS_OF_TRUTHS = {"ReduceMax": "REDUCE_ANY", "ReduceMin": "REDUCE_ALL"}
"""The greatest of truths is whether any holds, the least whether all do."""


def reduce_demand(node: ir.Node) -> Demand:
    """Any order where all axes are kept; else one in which those that remain follow each other as in the source."""
    source = node.inputs[0]
    assert source is not None
    rank = len(shape_of(source))
    if rank < 3:
        return AS_IS
    if len(shape_of(node.outputs[0])) == rank:
        return EITHER
    axes = _axes(node) or ()
    remaining = [axis for axis in channels_last(rank).axes if axis not in axes]
    return Demand(Need.EITHER, Need.AS_IS) if remaining == sorted(remaining) else AS_IS


def lower_reduce(site: Site) -> None:
    """Lower a reduction over constant axes."""
    axes = _axes(site.node)
    if axes is None:
        site.refuse("its axes are computed at run time")
    tensor = site.input()
    if not axes:
        site.finish_with(tensor)
        return
    positions = sorted(site.layout(0).position(axis) for axis in axes)
    keep = len(site.output_shape) == len(site.shape(0))
    kinds = KINDS_OF_TRUTHS if site.output_type == np.bool_ else KINDS
    site.finish(kinds[site.node.op_type], [tensor, site.add_setting("axes", positions)], {"keep_dims": keep})


def _axes(node: ir.Node) -> tuple[int, ...] | None:
    """The axes reduced, counted from the front; None if they are not constant."""
    source = node.inputs[0]
    assert source is not None
    rank = len(shape_of(source))
    if node.op_type.startswith("Global"):
        return tuple(range(2, rank))
    given = node.inputs[1] if len(node.inputs) > 1 else None
    constant = constant_of(given)
    if given is not None and constant is None:
        return None
    axes = tuple(int(axis) % rank for axis in constant.stored) if constant is not None else ()
    if axes or integer(node, "noop_with_empty_axes", 0):
        return axes
    return tuple(range(rank))
