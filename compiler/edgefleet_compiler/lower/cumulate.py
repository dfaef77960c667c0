"""CumSum: CUMSUM."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site


def cumulate_demand(node: ir.Node) -> Demand:
    """Any order for images; the columns of matrices stay."""
    return EITHER if len(shape_of(node.outputs[0])) > 2 else AS_IS


def lower_cumsum(site: Site) -> None:
    """Lower a running sum along a constant axis."""
    axis = site.setting(1, "axis")
    assert axis is not None
    position = site.add_scalar("axis", site.output_layout.position(int(axis.item())))
    options = {name: bool(site.node.attributes.get_int(name, 0)) for name in ("exclusive", "reverse")}
    site.finish("CUMSUM", [site.input(), position], {**options})
