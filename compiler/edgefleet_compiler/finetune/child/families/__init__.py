"""What each operator of the hub is in TensorFlow: one file a family, one table of them all."""

from __future__ import annotations

from collections.abc import Callable

from edgefleet_compiler.finetune.child.families import (
    activation,
    convolution,
    elementwise,
    joining,
    matrix,
    normalisation,
    padding,
    pooling,
    quantisation,
    reduction,
    resizing,
    shaping,
)
from edgefleet_compiler.finetune.child.held import Held
from edgefleet_compiler.finetune.child.site import Site

Family = Callable[[Site], list[Held]]

FAMILIES: dict[str, Family] = {
    **activation.FAMILY,
    **convolution.FAMILY,
    **elementwise.FAMILY,
    **joining.FAMILY,
    **matrix.FAMILY,
    **normalisation.FAMILY,
    **padding.FAMILY,
    **pooling.FAMILY,
    **quantisation.FAMILY,
    **reduction.FAMILY,
    **resizing.FAMILY,
    **shaping.FAMILY,
}
"""By operator: a function from a node with its operands to its outputs."""
