"""Whether a node computes on integers: its output and operands are stored so, and TFLite has such a kernel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.lower.constants import constant_of
from edgefleet_compiler.lower.lowering import INT16, Lowering
from edgefleet_compiler.lower.rule import FIXED_IN_SIXTEEN_BITS, Rule


def computes_on_integers(node: ir.Node, rule: Rule, lowering: Lowering) -> bool:
    """Whether the output and all operands have parameters, and such as the operator can take.

    Args:
        node: Whose inputs were lowered.
        rule: Of its operator.
        lowering: Knows how values are stored, and which are wanted in integers.
    """
    wanted = lowering.wanted.get(node.outputs[0])
    if not rule.integer or wanted is None or (wanted.dtype == INT16 and node.op_type not in SIXTEEN_BITS):
        return False
    scale, zero_point = float(wanted.quantisation.scale[0]), int(wanted.quantisation.zero_point[0])
    fixed = rule.fixed_parameters
    if fixed is not None and (scale, zero_point) != (FIXED_IN_SIXTEEN_BITS if wanted.dtype == INT16 else fixed):
        return False
    return all(_is_stored_as(value, wanted.dtype, lowering) for value in node.inputs[: rule.operands])


def _is_stored_as(value: ir.Value | None, dtype: np.dtype[np.generic], lowering: Lowering) -> bool:
    """Whether an operand is a constant in integers, or an activation in those of the output."""
    if value is None:
        return True
    constant = constant_of(value)
    if constant is not None:
        return constant.quantisation is not None
    form = lowering.form(value)
    return form is not None and form.dtype == dtype
