"""Concat: CONCATENATION."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.elementwise import operand
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand
from edgefleet_compiler.lower.site import Site


def concat_demand(node: ir.Node) -> Demand:
    """Any order for images; the columns of matrices stay."""
    return EITHER if len(shape_of(node.outputs[0])) > 2 else AS_IS


def lower_concat(site: Site) -> None:
    """Lower a concatenation of activations and constants."""
    operands: list[str | None] = [operand(site, index) for index in range(len(site.node.inputs))]
    axis = site.node.attributes.get_int("axis", 0) % len(site.output_shape)
    site.finish("CONCATENATION", operands, {"axis": site.output_layout.position(axis)})
