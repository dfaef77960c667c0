"""MatMul: FULLY_CONNECTED by a constant matrix, else BATCH_MATMUL."""

from __future__ import annotations

from edgefleet_compiler.lower.elementwise import operand
from edgefleet_compiler.lower.site import Site


def lower_matmul(site: Site) -> None:
    """Lower a matrix product; in normal form one of two matrices by constants is a Gemm, so this one has more axes."""
    weight = site.constant(1)
    if weight is not None and weight.stored.ndim == 2:
        operands: list[str | None] = [site.input(), site.add_operand(weight.transposed((1, 0)))]
        site.finish("FULLY_CONNECTED", operands, {"keep_num_dims": True})
    else:
        site.finish("BATCH_MATMUL", [operand(site, 0), operand(site, 1)])
