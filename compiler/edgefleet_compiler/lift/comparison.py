"""Comparisons and logical operators, whose results are truths."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.arithmetic import broadcast_shape
from edgefleet_compiler.lift.site import Site

COMPARISONS: Final = {
    "EQUAL": "Equal",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterOrEqual",
    "LESS": "Less",
    "LESS_EQUAL": "LessOrEqual",
    "LOGICAL_AND": "And",
    "LOGICAL_OR": "Or",
    "NOT_EQUAL": "Equal",
}


def lift_comparison(site: Site) -> ir.Value:
    """An operator of ``COMPARISONS``; ONNX writes that two differ as that they are not equal."""
    shape, operands = broadcast_shape(site), [site.any_value(0), site.any_value(1)]
    site.require(site.output.dtype == np.bool_, f"gives {site.output.dtype}", "bool")
    if site.kind != "NOT_EQUAL":
        return site.emit(COMPARISONS[site.kind], operands, shape)
    return site.emit("Not", [site.emit("Equal", operands, shape, label="equal")], shape)


def lift_logical_not(site: Site) -> ir.Value:
    """LOGICAL_NOT."""
    return site.emit("Not", [site.value(0)], site.tensor(0).shape)
