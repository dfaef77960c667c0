"""Transpose: TRANSPOSE, or nothing where the two layouts are already each other's."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, Demand, Need
from edgefleet_compiler.lower.site import Site


def transpose_demand(node: ir.Node) -> Demand:
    """Whatever comes, and any order out: two permutations are one."""
    return Demand(Need.ANY, Need.EITHER) if len(shape_of(node.outputs[0])) > 2 else AS_IS


def lower_transpose(site: Site) -> None:
    """Lower a Transpose between the layouts in which its input and output are stored."""
    rank = len(site.output_shape)
    permutation = site.ints("perm", tuple(reversed(range(rank))))
    stored = site.input_as_stored()
    axes = tuple(stored.layout.position(permutation[axis]) for axis in site.output_layout.axes)
    site.finish_with(site.transpose(stored.tensor, axes))
