"""Arithmetic of two operands, which broadcast as in numpy."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import Site, Unliftable

_WITH_ACTIVATION: Final = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}
_PLAIN: Final = {"MAXIMUM": "Max", "MINIMUM": "Min", "POW": "Pow"}


def lift_arithmetic(site: Site) -> ir.Value:
    """An operator whose operands broadcast; those of the schema's older part may have an activation fused into them."""
    shape, operands = broadcast_shape(site), [site.value(0), site.value(1)]
    if site.kind in _WITH_ACTIVATION:
        return fused_activation(site, site.emit(_WITH_ACTIVATION[site.kind], operands, shape))
    return site.emit(_PLAIN[site.kind], operands, shape)


def lift_floor_mod(site: Site) -> ir.Value:
    """FLOOR_MOD of integers: Mod, whose result has the sign of the divisor, too.

    Raises:
        Unliftable: Of floats, which ONNX has not.
    """
    if site.output.dtype == np.float32:
        raise Unliftable("ONNX has no remainder of floats with the sign of the divisor")
    return site.emit("Mod", [site.value(0), site.value(1)], broadcast_shape(site))


def lift_floor_div(site: Site) -> ir.Value:
    """FLOOR_DIV of floats: the quotient, rounded down.

    Raises:
        Unliftable: Of integers, whose quotient ONNX rounds towards zero.
    """
    if site.output.dtype != np.float32:
        raise Unliftable("ONNX rounds quotients of integers towards zero")
    shape = broadcast_shape(site)
    return site.emit("Floor", [site.emit("Div", [site.value(0), site.value(1)], shape, label="quotient")], shape)


def lift_squared_difference(site: Site) -> ir.Value:
    """SQUARED_DIFFERENCE: the difference, times itself."""
    shape = broadcast_shape(site)
    difference = site.emit("Sub", [site.value(0), site.value(1)], shape, label="difference")
    return site.emit("Mul", [difference, difference], shape)


def broadcast_shape(site: Site) -> list[int]:
    """The shape that the operator's first two inputs broadcast to."""
    left, right = site.tensor(0).shape, site.tensor(1).shape
    pairs = list(zip_longest(reversed(left), reversed(right), fillvalue=1))
    site.require(
        all(a == b or 1 in (a, b) for a, b in pairs),
        f"takes shapes {list(left)} and {list(right)}",
        "shapes that broadcast",
    )
    return [max(pair) for pair in reversed(pairs)]
