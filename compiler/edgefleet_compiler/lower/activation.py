"""Relu and Clip; ``lowered.fuse_activations`` joins clamps with what feeds them."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lower.lowering import INT16
from edgefleet_compiler.lower.site import Site

_NOT_IN_SIXTEEN_BITS = frozenset({"RELU_N1_TO_1", "RELU_0_TO_1"})
KINDS_BY_BOUNDS = {
    (0.0, np.inf): "RELU",
    (0.0, 6.0): "RELU6",
    (-1.0, 1.0): "RELU_N1_TO_1",
    (0.0, 1.0): "RELU_0_TO_1",
}


def lower_clamp(site: Site) -> None:
    """Lower Relu or Clip: TFLite's operator for these bounds, else MAXIMUM and MINIMUM.

    A tensor of integers saturates by itself, so a bound that its parameters cannot exceed needs no operator.
    """
    low, high = _bounds(site)
    binds_below, binds_above = _binds(site, low, high)
    tensor = site.input()
    is_real = site.integer or site.output_type == np.float32
    kind = KINDS_BY_BOUNDS.get((low, high)) if is_real else None
    if kind in _NOT_IN_SIXTEEN_BITS and site.output_type == INT16:
        kind = None
    if not (binds_below or binds_above):
        site.finish_with(tensor)
    elif kind is not None:
        site.finish(kind, [tensor])
    elif binds_below and binds_above:
        raised = site.emit(*_clamp_below(site, tensor, low), site.stored_shape(tensor))
        site.finish("MINIMUM", [raised, _bound(site, high)])
    elif binds_below:
        site.finish(*_clamp_below(site, tensor, low))
    else:
        site.finish("MINIMUM", [tensor, _bound(site, high)])


def _bounds(site: Site) -> tuple[float, float]:
    if site.node.op_type == "Relu":
        return 0.0, np.inf
    low, high = site.setting(1, "lower bound"), site.setting(2, "upper bound")
    return (-np.inf if low is None else float(low.item())), (np.inf if high is None else float(high.item()))


def _binds(site: Site, low: float, high: float) -> tuple[bool, bool]:
    """Whether the type of the output can hold anything below ``low``, or above ``high``."""
    form = site.output_form
    if form is None:
        is_float = site.output_type.kind == "f"
        limits = np.finfo(np.float32) if is_float else np.iinfo(site.output_type)  # type: ignore[type-var]  # integers
        lowest, highest = float(limits.min), float(limits.max)
        return low > lowest, high < highest
    lowest_integer, highest_integer = form.limits
    zero_point, scale = int(form.quantisation.zero_point[0]), float(form.quantisation.scale[0])
    return np.rint(low / scale) + zero_point > lowest_integer, np.rint(high / scale) + zero_point < highest_integer


def _clamp_below(site: Site, tensor: str, low: float) -> tuple[str, list[str]]:
    """RELU where it is that, because RELU can be fused."""
    is_relu = low == 0 and (site.integer or site.output_type == np.float32)
    return ("RELU", [tensor]) if is_relu else ("MAXIMUM", [tensor, _bound(site, low)])


def _bound(site: Site, bound: float) -> str:
    return site.add_like_output("bound", np.float64(bound))
