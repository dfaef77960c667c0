"""Gather, GatherElements and GatherND: GATHER and GATHER_ND.

ONNX lets an index count from the end, TFLite does not: constant indices are counted from the front here, others by
FLOOR_MOD, which leaves what is not negative as it is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.lower.elementwise import operand
from edgefleet_compiler.lower.layout import AS_IS, Demand
from edgefleet_compiler.lower.site import Site

Extents = int | NDArray[np.int64]


def gather_demand(_: ir.Node) -> Demand:
    """The source's order: the axes of the indices stand among those of the data."""
    return AS_IS


def lower_gather(site: Site) -> None:
    """Lower slices taken along one axis."""
    axis = site.node.attributes.get_int("axis", 0) % len(site.shape(0))
    indices = _from_front(site, site.shape(0)[axis])
    site.finish("GATHER", [operand(site, 0), indices], {"axis": axis, "batch_dims": 0})


def lower_gather_nd(site: Site) -> None:
    """Lower elements or slices taken by coordinates of their leading axes."""
    if site.node.attributes.get_int("batch_dims", 0):
        site.refuse("batch_dims; TFLite's GATHER_ND has none")
    leading = site.shape(0)[: site.shape(1)[-1]]
    site.finish("GATHER_ND", [operand(site, 0), _from_front(site, np.array(leading, np.int64))])


def lower_gather_elements(site: Site) -> None:
    """Lower elements taken along one axis, each at its own place along the others.

    GATHER_ND takes them by whole coordinates: the indices on the axis, and the places themselves on the others.
    """
    shape, rank = site.shape(1), len(site.shape(0))
    axis = site.node.attributes.get_int("axis", 0) % rank
    indices = _from_front(site, site.shape(0)[axis])
    dtype = site.stored_type(indices)
    places = np.moveaxis(np.indices(shape), 0, -1).astype(dtype)
    column = (*shape, 1)
    parts = [site.reshape(indices, column)]
    if axis:
        parts.insert(0, site.add_constant("places", places[..., :axis]))
    if axis < rank - 1:
        parts.append(site.add_constant("places", places[..., axis + 1 :]))
    coordinates = parts[0]
    if len(parts) > 1:
        coordinates = site.emit("CONCATENATION", parts, (*shape, rank), {"axis": len(shape)}, like=parts[0])
    site.finish("GATHER_ND", [operand(site, 0), coordinates])


def _from_front(site: Site, extents: Extents) -> str:
    """The tensor of the indices, counted from the front of axes of these extents."""
    constant = site.constant(1)
    if constant is not None:
        indices = constant.real.astype(np.int64)
        return site.add_constant(constant.name, np.where(indices < 0, indices + extents, indices).astype(np.int32))
    given = site.input_stored_by(None, 1)
    divisor = site.add_constant("extents", np.asarray(extents).astype(site.stored_type(given)))
    return site.emit("FLOOR_MOD", [given, divisor], site.stored_shape(given), like=given)
