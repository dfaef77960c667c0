"""ArgMax and ArgMin: ARG_MAX and ARG_MIN, which give the first of equal elements."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site

KINDS = {"ArgMax": "ARG_MAX", "ArgMin": "ARG_MIN"}


def arg_extremum_demand(node: ir.Node) -> Demand:
    """Any order for images whose axes are all kept."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    return EITHER if len(shape_of(source)) == len(shape_of(output)) > 2 else AS_IS


def lower_arg_extremum(site: Site) -> None:
    """Lower the position of the extremum along one axis.

    For the last of equal elements the axis is reversed, and the position counted from its end. Integers with a scale
    are ordered as the reals are, so that int8 tensors are searched as they are stored.
    """
    tensor = site.input_as_stored_in(site.layout(0))
    axis = site.layout(0).position(site.node.attributes.get_int("axis", 0))
    shape = site.stored_shape(tensor)
    last = bool(site.node.attributes.get_int("select_last_index", 0))
    if last:
        tensor = site.emit("REVERSE_V2", [tensor, site.add_setting("axis", [axis])], shape, like=tensor)
    reduced = shape[:axis] + shape[axis + 1 :]
    found = site.emit(
        KINDS[site.node.op_type],
        [tensor, site.add_setting("axis", [axis])],
        reduced,
        {"output_type": "INT64"},
    )
    if last:
        end = site.add_constant("end", np.array(shape[axis] - 1, np.int64))
        found = site.emit("SUB", [end, found], reduced)
    site.finish_with(site.reshape(found, site.output_layout.shape(site.output_shape)))
