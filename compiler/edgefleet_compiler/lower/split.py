"""Split: SPLIT into equal parts, else SPLIT_V."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site


def split_demand(node: ir.Node) -> Demand:
    """Any order for images; the columns of matrices stay."""
    return EITHER if len(shape_of(node.outputs[0])) > 2 else AS_IS


def lower_split(site: Site) -> None:
    """Lower a Split; how large the parts are say the shapes of the outputs."""
    axis = site.node.attributes.get_int("axis", 0)
    position = site.add_scalar("axis", site.output_layout.position(axis))
    sizes = [shape_of(value)[axis] for value in site.node.outputs]
    if len(set(sizes)) == 1:
        site.finish_all("SPLIT", [position, site.input()], {"num_splits": len(sizes)})
    else:
        settings = [site.add_setting("sizes", sizes), position]
        site.finish_all("SPLIT_V", [site.input(), *settings], {"num_splits": len(sizes)})
