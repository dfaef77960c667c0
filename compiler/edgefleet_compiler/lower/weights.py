"""The constant operands of Conv and Gemm."""

from __future__ import annotations

from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.site import Site


def constant_operands(site: Site) -> tuple[Constant, Constant | None]:
    """The weights and the biases of a Conv or Gemm.

    Raises:
        Unsupported: They are no constants.
    """
    weight, bias = site.constant(1), site.constant(2)
    if weight is None or (bias is None and site.value(2) is not None):
        site.refuse("its weights or biases are computed at run time")
    return weight, bias
