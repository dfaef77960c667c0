"""MatMul: FULLY_CONNECTED by a constant matrix, else BATCH_MATMUL; a vector is a matrix of one row or column."""

from __future__ import annotations

from edgefleet_compiler.lower.elementwise import operand
from edgefleet_compiler.lower.gemm import rounding_attributes
from edgefleet_compiler.lower.site import Site

MOST_AXES = 5
"""BATCH_MATMUL takes no more (LiteRT, ``batch_matmul.cc``)."""


def lower_matmul(site: Site) -> None:
    """Lower a matrix product; in normal form one of two matrices by constants is a Gemm, so this one has more axes."""
    weight = site.constant(1)
    if weight is not None and weight.stored.ndim == 2:
        operands: list[str | None] = [site.input(), site.add_operand(weight.transposed((1, 0)))]
        site.finish("FULLY_CONNECTED", operands, {"keep_num_dims": True, **rounding_attributes(site)})
        return
    left, right = site.shape(0), site.shape(1)
    if max(len(left), len(right)) > MOST_AXES:
        site.refuse(f"its operands have more than {MOST_AXES} axes, which is the most that LiteRT multiplies")
    if len(left) > 1 and len(right) > 1:
        site.finish("BATCH_MATMUL", [operand(site, 0), operand(site, 1)])
        return
    rows = left if len(left) > 1 else (1, *left)
    columns = right if len(right) > 1 else (*right, 1)
    operands = [site.reshape(operand(site, 0), rows), site.reshape(operand(site, 1), columns)]
    batch = max(rows[:-2], columns[:-2], key=len)
    product = site.emit("BATCH_MATMUL", operands, (*batch, rows[-2], columns[-1]))
    site.finish_with(site.reshape(product, site.output_shape))
