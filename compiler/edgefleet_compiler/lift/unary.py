"""Operators on each element alone that are no activations of the older schema: ABS, EXP, GELU and their like."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.site import Site

UNARY: Final = {
    "ABS": "Abs",
    "CEIL": "Ceil",
    "COS": "Cos",
    "ELU": "Elu",
    "EXP": "Exp",
    "FLOOR": "Floor",
    "HARD_SWISH": "HardSwish",
    "LOG": "Log",
    "NEG": "Neg",
    "ROUND": "Round",
    "SIGN": "Sign",
    "SIN": "Sin",
    "SQRT": "Sqrt",
}
"""TFLite's operators that ONNX has under the same definition, both rounding halves to even."""


def lift_unary(site: Site) -> ir.Value:
    """An operator of ``UNARY``."""
    return site.emit(UNARY[site.kind], [site.value(0)], site.tensor(0).shape)


def lift_gelu(site: Site) -> ir.Value:
    """GELU: by erf, or approximated by tanh."""
    approximate = "tanh" if site.option("approximate") else "none"
    return site.emit("Gelu", [site.value(0)], site.tensor(0).shape, {"approximate": approximate})


def lift_rsqrt(site: Site) -> ir.Value:
    """RSQRT: one over the root."""
    shape = site.tensor(0).shape
    root = site.emit("Sqrt", [site.value(0)], shape, label="root")
    return site.emit("Div", [site.constant("one", np.array(1, dtype=np.float32)), root], shape)


def lift_square(site: Site) -> ir.Value:
    """SQUARE: the input times itself."""
    return site.emit("Mul", [site.value(0), site.value(0)], site.tensor(0).shape)


def lift_log_softmax(site: Site) -> ir.Value:
    """LOG_SOFTMAX over the last axis."""
    return site.emit("LogSoftmax", [site.value(0)], site.tensor(0).shape, {"axis": -1})


def lift_prelu(site: Site) -> ir.Value:
    """PRELU, whose slopes broadcast to the input."""
    source, slopes = site.tensor(0).shape, site.tensor(1).shape
    fits = len(slopes) <= len(source) and all(
        slope in (1, extent) for slope, extent in zip(reversed(slopes), reversed(source), strict=False)
    )
    site.require(fits, f"has slopes of {list(slopes)} for {list(source)}", "slopes that broadcast to the input")
    return site.emit("PRelu", [site.value(0), site.value(1)], source)
