"""ADD, SUB and MUL, with broadcasting as in numpy."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import Site

_OP_TYPES: Final = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}


def lift_arithmetic(site: Site) -> ir.Value:
    """ADD, SUB or MUL."""
    left, right = site.tensor(0).shape, site.tensor(1).shape
    pairs = list(zip_longest(reversed(left), reversed(right), fillvalue=1))
    site.require(
        all(a == b or 1 in (a, b) for a, b in pairs),
        f"takes shapes {list(left)} and {list(right)}",
        "shapes that broadcast",
    )
    shape = [max(pair) for pair in reversed(pairs)]
    return fused_activation(site, site.emit(_OP_TYPES[site.kind], [site.value(0), site.value(1)], shape))
