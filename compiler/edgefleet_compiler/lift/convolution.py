"""CONV_2D and DEPTHWISE_CONV_2D: Conv, between Transposes."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import TO_NCHW, TO_NHWC, Site
from edgefleet_compiler.lift.windows import windows_of


def lift_conv_2d(site: Site) -> ir.Value:
    """CONV_2D; weights O, H, W, I, where fewer I than channels mean groups."""
    channels, weights = _channels(site), site.tensor(1).shape
    site.require(
        len(weights) == 4 and weights[3] >= 1 and channels % weights[3] == 0,
        f"has weights of {list(weights)} for {channels} channels",
        "O, H, W, I with I a divisor of the channels",
    )
    outputs, groups = weights[0], channels // weights[3]
    site.require(outputs % groups == 0, f"has {outputs} output channels in {groups} groups")
    return _convolution(site, site.transposed(1, [0, 3, 1, 2], "OIHW"), outputs, groups)


def lift_depthwise_conv_2d(site: Site) -> ir.Value:
    """DEPTHWISE_CONV_2D; weights 1, H, W, O: as many groups as channels, O / channels outputs of each."""
    channels, weights = _channels(site), site.tensor(1).shape
    site.require(
        len(weights) == 4 and weights[0] == 1 and weights[3] >= 1 and weights[3] % channels == 0,
        f"has weights of {list(weights)} for {channels} channels",
        "1, H, W, O with O a multiple of the channels",
    )
    return _convolution(site, site.transposed(1, [3, 0, 1, 2], "OIHW"), weights[3], channels)


def _channels(site: Site) -> int:
    image = site.tensor(0).shape
    site.require(len(image) == 4, f"takes an image of shape {list(image)}", "N, H, W, C")
    return image[3]


def _convolution(site: Site, weights: ir.Value, outputs: int, groups: int) -> ir.Value:
    kernel = site.tensor(1).shape[1:3]
    windows = windows_of(
        site, (kernel[0], kernel[1]), (site.option("dilation_h_factor"), site.option("dilation_w_factor"))
    )
    operands = [site.permute(site.value(0), TO_NCHW, "NCHW"), weights]
    if site.has(2):
        bias = site.tensor(2).shape
        site.require(bias == (outputs,), f"has a bias of {list(bias)} for {outputs} output channels")
        operands.append(site.value(2))
    result = site.emit(
        "Conv",
        operands,
        (site.tensor(0).shape[0], outputs, *windows.outputs),
        {
            "kernel_shape": list(windows.kernel),
            "strides": list(windows.strides),
            "dilations": list(windows.dilations),
            "pads": list(windows.pads),
            "group": groups,
        },
    )
    return site.permute(fused_activation(site, result), TO_NHWC, "NHWC")
