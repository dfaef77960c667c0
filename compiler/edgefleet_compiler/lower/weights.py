"""The constant operands of Conv and Gemm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.lowering import INT16
from edgefleet_compiler.lower.site import Site


def constant_operands(site: Site) -> tuple[Constant, Constant | None]:
    """The weights and the biases of a Conv or Gemm.

    Raises:
        Unsupported: They are no constants.
    """
    weight, bias = site.constant(1), site.constant(2)
    if weight is None or (bias is None and site.value(2) is not None):
        site.refuse("its weights or biases are computed at run time")
    if weight.quantisation is not None and weight.stored.dtype not in (np.int8, INT4):
        site.refuse(f"its weights are {weight.stored.dtype}; TFLite's kernels take int8 and int4")
    if weight.quantisation is not None and weight.quantisation.zero_point.any():
        site.refuse("its weights have a zero point other than 0, which TFLite's kernels do not take")
    if bias is not None and bias.quantisation is not None and site.integer:
        bias = replace(bias, stored=bias.stored.astype(bias_type(site)))
    return weight, bias


def bias_type(site: Site) -> type[np.signedinteger]:
    """The type of the sums that biases in integers are added to, by the type of the activations."""
    return np.int64 if site.output_type == INT16 else np.int32
