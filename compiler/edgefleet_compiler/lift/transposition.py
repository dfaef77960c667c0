"""TRANSPOSE: Transpose."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_transpose(site: Site) -> ir.Value:
    """TRANSPOSE by the permutation in its second input."""
    rank = len(site.tensor(0).shape)
    permutation = [int(axis) for axis in site.integers(1).ravel()]
    site.require(sorted(permutation) == list(range(rank)), f"permutes {rank} axes by {permutation}")
    return site.permute(site.value(0), permutation, label="")
