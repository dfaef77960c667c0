"""Gemm: FULLY_CONNECTED."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.layout import Demand, Layout, Need
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.weights import constant_operands
from edgefleet_compiler.lowered.graph import AttributeValue


def gemm_demand(_: ir.Node) -> Demand:
    """Rows may hold images in either order, in and out: the weights' columns and rows are permuted to fit."""
    return Demand(Need.ANY, Need.EITHER)


def lower_gemm(site: Site) -> None:
    """Lower a Gemm in normal form: alpha = beta = 1, no transposed input, weights of shape (out, in)."""
    weight, bias = constant_operands(site)
    stored = site.input_as_stored()
    weight = _permuted(weight, rows=site.output_layout, columns=stored.layout)
    operands: list[str | None] = [stored.tensor, site.add_operand(weight)]
    if bias is not None:
        operands.append(
            site.add_operand(_permuted_bias(_as_vector(site, bias, len(weight.stored)), site.output_layout))
        )
    site.finish("FULLY_CONNECTED", operands, rounding_attributes(site))


def rounding_attributes(site: Site) -> dict[str, AttributeValue]:
    """What makes FULLY_CONNECTED round its input as DynamicQuantizeLinear does: in its range, not around zero."""
    return {"asymmetric_quantize_inputs": True} if site.rounds else {}


def _as_vector(site: Site, bias: Constant, outputs: int) -> Constant:
    """The bias as one number per output; ONNX broadcasts it."""
    if bias.stored.size == outputs:
        return bias.rearranged(bias.stored.reshape(outputs), channel_axis=0)
    if bias.stored.size == 1:
        return bias.rearranged(np.repeat(bias.stored.reshape(1), outputs), channel_axis=0)
    return site.refuse(f"its third input has shape {list(bias.stored.shape)}, which differs from row to row")


def _permuted(weight: Constant, *, rows: Layout, columns: Layout) -> Constant:
    """Weights whose columns follow the order of the input's images, and rows that of the output's."""
    if columns.flattened is not None:
        weight = weight.rearranged(columns.store(weight.stored), channel_axis=0)
    if rows.flattened is not None:
        weight = weight.rows(_order(rows))
    return weight


def _permuted_bias(bias: Constant, rows: Layout) -> Constant:
    return bias if rows.flattened is None else bias.rows(_order(rows))


def _order(rows: Layout) -> NDArray[np.intp]:
    """Which of the value's own columns is stored at each place."""
    assert rows.flattened is not None
    size = int(np.prod(rows.flattened[1:]))
    return rows.store(np.arange(size, dtype=np.intp).reshape(1, size)).reshape(size)
