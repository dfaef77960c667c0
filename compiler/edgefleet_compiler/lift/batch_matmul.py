"""BATCH_MATMUL: MatMul, after Transposes where an operand is taken transposed."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.hub import shape_of
from edgefleet_compiler.lift.site import Site


def lift_batch_matmul(site: Site) -> ir.Value:
    """BATCH_MATMUL of the last two axes; those before them broadcast."""
    left, right = _operand(site, 0, "adj_x"), _operand(site, 1, "adj_y")
    (*outer, rows, inner), (*others, depth, columns) = shape_of(left), shape_of(right)
    longest = max(len(outer), len(others))
    pairs = list(zip(_padded(outer, longest), _padded(others, longest), strict=True))
    site.require(
        inner == depth and all(a == b or 1 in (a, b) for a, b in pairs),
        f"multiplies {list(shape_of(left))} by {list(shape_of(right))}",
        "as many columns as rows, and outer axes that broadcast",
    )
    return site.emit("MatMul", [left, right], [*map(max, pairs), rows, columns])


def _operand(site: Site, position: int, adjoint: str) -> ir.Value:
    rank = len(site.tensor(position).shape)
    site.require(rank >= 2, f"takes {list(site.tensor(position).shape)}", "matrices")
    if not site.option(adjoint):
        return site.value(position)
    return site.transposed(position, [*range(rank - 2), rank - 1, rank - 2], "transposed")


def _padded(outer: list[int], rank: int) -> list[int]:
    return [1] * (rank - len(outer)) + outer
