"""Operators of two operands, arithmetic, comparing or logical, which TFLite broadcasts as ONNX does."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.constants import Constant, constant_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand, Layout
from edgefleet_compiler.lower.site import Site

KINDS = {
    "Add": "ADD",
    "And": "LOGICAL_AND",
    "Div": "DIV",
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "Max": "MAXIMUM",
    "Min": "MINIMUM",
    "Mod": "FLOOR_MOD",
    "Mul": "MUL",
    "Or": "LOGICAL_OR",
    "Pow": "POW",
    "Sub": "SUB",
    "Xor": "NOT_EQUAL",
}


def broadcast_demand(node: ir.Node) -> Demand:
    """Any order, as long as all activations line up axis by axis; two matrices may hold different images."""
    output = shape_of(node.outputs[0])
    shapes = [shape_of(value) for value in node.inputs if value is not None and constant_of(value) is None]
    if len(output) > 2:
        return EITHER if all(len(shape) == len(output) for shape in shapes) else AS_IS
    return EITHER if shapes == [output] else AS_IS


def lower_elementwise(site: Site) -> None:
    """Lower an operator of two operands."""
    if site.node.attributes.get_int("fmod", 0):
        site.refuse("its remainder has the sign of the dividend; TFLite's FLOOR_MOD has the divisor's")
    site.finish(KINDS[site.node.op_type], [operand(site, 0), operand(site, 1)])


def operand(site: Site, index: int) -> str:
    """The tensor of an operand, which may be a constant of fewer axes than the output."""
    constant = site.constant(index)
    if constant is None:
        return site.input(index)
    return site.add_operand(_aligned(constant, site.output_layout))


def _aligned(constant: Constant, layout: Layout) -> Constant:
    """A constant in the order in which its partner is stored."""
    shape = constant.stored.shape
    if not layout.moves or constant.stored.size == 1:
        return constant
    if layout.flattened is not None:
        row = constant.rearranged(constant.stored.reshape(-1, shape[-1]), channel_axis=0)
        return row if shape[-1] == 1 else row.rearranged(layout.store(row.stored), channel_axis=0)
    all_axes = constant.rearranged(
        constant.stored.reshape((1,) * (len(layout.axes) - len(shape)) + shape), channel_axis=0
    )
    return all_axes.transposed(layout.axes)
