"""TopK: TOPK_V2, which sorts along the last axis, largest first, equal elements by position."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.site import Site


def lower_top_k(site: Site) -> None:
    """Lower a TopK with constant k; the smallest are the largest of the negated elements."""
    tensor = site.input()
    last = len(site.shape(0)) - 1
    axis = site.node.attributes.get_int("axis", -1) % (last + 1)
    swapped = tuple({axis: last, last: axis}.get(position, position) for position in range(last + 1))
    largest = bool(site.node.attributes.get_int("largest", 1))
    turned = site.transpose(tensor, swapped) if axis != last else tensor
    if not largest:
        turned = site.emit("NEG", [turned], site.stored_shape(turned), like=turned)
    count = shape_of(site.node.outputs[0])[axis]
    shape = (*site.stored_shape(turned)[:last], count)
    types = [site.stored_type(turned), np.dtype(np.int32)]
    found, places = site.emit_parts("TOPK_V2", [turned, site.add_scalar("k", count)], [shape, shape], {}, types)
    if not largest:
        found = site.emit("NEG", [found], shape, like=found)
    places = site.emit("CAST", [places], shape, dtype=np.dtype(np.int64))
    results = [site.transpose(result, swapped) if axis != last else result for result in (found, places)]
    site.finish_with_all(results)
