"""How one operator of ONNX is lowered: what an operator's file enters in the table of all (``operators``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from edgefleet_compiler.lower.layout import Demand

if TYPE_CHECKING:
    from edgefleet_compiler.lower.site import Site


FIXED_IN_SIXTEEN_BITS = (1 / 32768, 0)
"""The scale and zero point of 16-bit outputs wherever an operator prescribes any."""


@dataclass(frozen=True)
class Rule:
    """How one operator of ONNX is lowered.

    Attributes:
        lower: Writes the operators for one node.
        demand: What the node asks of the layouts around it.
        integer: Whether TFLite computes it on int8; on int16 too if it is among ``SIXTEEN_BITS``.
        operands: How many leading inputs must be quantised for that, None for all; the rest are settings.
        shares_parameters: Whether its integer inputs must have the parameters of its output.
        fixed_parameters: The scale and zero point of its int8 output if it knows no other.
    """

    lower: Callable[[Site], None]
    demand: Callable[[ir.Node], Demand]
    integer: bool = False
    operands: int | None = 1
    shares_parameters: bool = False
    fixed_parameters: tuple[float, int] | None = None
