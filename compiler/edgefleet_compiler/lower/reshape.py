"""Reshape: RESHAPE. Flatten, Squeeze and Unsqueeze are a Reshape in normal form."""

from __future__ import annotations

import math

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand, Shape
from edgefleet_compiler.lower.site import Site


def reshape_demand(node: ir.Node) -> Demand:
    """Any order where images become rows or rows become images: the row then has the order of the image."""
    source = node.inputs[0]
    assert source is not None
    before, after = shape_of(source), shape_of(node.outputs[0])
    return EITHER if _flattens(before, after) or _flattens(after, before) else AS_IS


def lower_reshape(site: Site) -> None:
    """Lower a Reshape to the static shape of its output."""
    tensor = site.input()
    shape = site.output_layout.shape(site.output_shape)
    if site.stored_shape(tensor) == shape:
        site.finish_with(tensor)
    else:
        site.finish("RESHAPE", [tensor], {"new_shape": list(shape)})


def _flattens(images: Shape, rows: Shape) -> bool:
    return len(images) > 2 and rows == (images[0], math.prod(images[1:]))
