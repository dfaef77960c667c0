"""Tile and Expand: TILE and BROADCAST_TO."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site


def repeat_demand(node: ir.Node) -> Demand:
    """Any order for images that stay images."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    return EITHER if len(shape_of(source)) == len(shape_of(output)) > 2 else AS_IS


def lower_tile(site: Site) -> None:
    """Lower a Tile by constant repeats, one an axis."""
    repeats = site.setting(1, "repeats")
    assert repeats is not None
    order = [int(repeats[axis]) for axis in site.output_layout.axes]
    site.finish("TILE", [site.input(), site.add_setting("multiples", order)])


def lower_expand(site: Site) -> None:
    """Lower an Expand to the static shape of its output."""
    shape = site.output_layout.shape(site.output_shape)
    site.finish("BROADCAST_TO", [site.input(), site.add_setting("shape", shape)])
