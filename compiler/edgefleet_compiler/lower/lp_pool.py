"""LpPool and GlobalLpPool: the root of a sum of powers; over windows, the sum is a depthwise convolution by ones."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.window import image_input, image_output_shape, padded, window_of


def lower_lp_pool(site: Site) -> None:
    """Lower the p-norm of each window; padding is zero and adds nothing."""
    window = window_of(site, site.ints("kernel_shape", ()))
    image = padded(site, _powers(site, image_input(site)), window)
    shape = image_output_shape(site)
    ones = site.add_float("ones", np.ones((1, *window.kernel, shape[3])))
    sums = site.emit(
        "DEPTHWISE_CONV_2D",
        [image, ones, site.add_float("no_bias", np.zeros(shape[3]))],
        shape,
        {
            "padding": "VALID",
            **window.stride_attributes,
            "dilation_h_factor": window.dilations[0],
            "dilation_w_factor": window.dilations[1],
            "depth_multiplier": 1,
        },
    )
    site.finish_with(site.reshape(_root(site, sums), site.output_layout.shape(site.output_shape)))


def lower_global_lp_pool(site: Site) -> None:
    """Lower the p-norm of each channel."""
    powers = _powers(site, site.input())
    axes = [site.output_layout.position(axis) for axis in range(2, len(site.output_shape))]
    shape = site.output_layout.shape(site.output_shape)
    sums = site.emit("SUM", [powers, site.add_setting("axes", sorted(axes))], shape, {"keep_dims": True})
    site.finish_with(_root(site, sums))


def _powers(site: Site, tensor: str) -> str:
    """The magnitudes to the power p."""
    shape = site.stored_shape(tensor)
    exponent = site.node.attributes.get_int("p", 2)
    if exponent == 2:
        return site.emit("MUL", [tensor, tensor], shape)
    magnitudes = site.emit("ABS", [tensor], shape)
    return magnitudes if exponent == 1 else _power(site, magnitudes, exponent)


def _root(site: Site, tensor: str) -> str:
    exponent = site.node.attributes.get_int("p", 2)
    if exponent == 2:
        return site.emit("SQRT", [tensor], site.stored_shape(tensor))
    return tensor if exponent == 1 else _power(site, tensor, 1 / exponent)


def _power(site: Site, tensor: str, exponent: float) -> str:
    return site.emit("POW", [tensor, site.add_float("exponent", np.array([exponent]))], site.stored_shape(tensor))
