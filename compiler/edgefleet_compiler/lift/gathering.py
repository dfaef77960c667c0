"""GATHER and GATHER_ND: Gather and GatherND; TFLite's indices all count from the front."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site, Unliftable


def lift_gather(site: Site) -> ir.Value:
    """Slices along one axis.

    Raises:
        Unliftable: Indices of their own for each element of a batch.
    """
    if site.option("batch_dims"):
        raise Unliftable("it gathers along batches")
    source, indices = site.tensor(0).shape, site.tensor(1).shape
    axis = site.option("axis")
    site.require(-len(source) <= axis < len(source), f"gathers along axis {axis} of {list(source)}")
    axis %= len(source)
    shape = (*source[:axis], *indices, *source[axis + 1 :])
    return site.emit("Gather", [site.value(0), _indices(site)], shape, {"axis": axis})


def lift_gather_nd(site: Site) -> ir.Value:
    """Slices by coordinates of the leading axes."""
    source, indices = site.tensor(0).shape, site.tensor(1).shape
    site.require(len(indices) > 0 and 0 < indices[-1] <= len(source), f"gathers from {list(source)} by {list(indices)}")
    shape = (*indices[:-1], *source[indices[-1] :])
    return site.emit("GatherND", [site.value(0), _indices(site)], shape)


def _indices(site: Site) -> ir.Value:
    """The second input as int64, which GatherND takes alone."""
    site.require(np.issubdtype(site.tensor(1).dtype, np.integer), f"gathers by {site.tensor(1).dtype}", "integers")
    given = site.any_value(1)
    if given.dtype == ir.DataType.INT64:
        return given
    attributes = {"to": int(ir.DataType.INT64)}
    return site.emit("Cast", [given], site.tensor(1).shape, attributes, label="indices", dtype=np.dtype(np.int64))
