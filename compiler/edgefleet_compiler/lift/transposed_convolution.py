"""TRANSPOSE_CONV: ConvTranspose, between Transposes."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import TO_NCHW, TO_NHWC, Site


def lift_transpose_conv(site: Site) -> ir.Value:
    """TRANSPOSE_CONV of inputs: the output's shape, weights O, H, W, I, the image, and a bias if there is one.

    What the windows cover beyond the output's shape is cut off, half before and half after, the odd one after.
    """
    result = [int(extent) for extent in site.integers(0).ravel()]
    weights, image = site.tensor(1).shape, site.tensor(2).shape
    site.require(
        len(image) == len(weights) == len(result) == 4 and weights[3] == image[3] and weights[0] == result[3],
        f"has weights of {list(weights)} for an image of {list(image)} and an output of {result}",
        "O, H, W, I; N, H, W, I; N, H, W, O",
    )
    strides = [site.option("stride_h"), site.option("stride_w")]
    surplus = [
        (image[axis] - 1) * stride + weights[axis] - result[axis] for axis, stride in zip((1, 2), strides, strict=True)
    ]
    site.require(
        all(-each < stride for each, stride in zip(surplus, strides, strict=True)) and min(strides) >= 1,
        f"makes {result} of {list(image)} with windows of {list(weights[1:3])} and strides {strides}",
    )
    cut = [max(each, 0) for each in surplus]
    operands = [site.permute(site.value(2), TO_NCHW, "NCHW"), site.transposed(1, [3, 0, 1, 2], "IOHW")]
    if site.has(3):
        bias = site.tensor(3).shape
        site.require(bias == (result[3],), f"has a bias of {list(bias)} for {result[3]} output channels")
        operands.append(site.value(3))
    value = site.emit(
        "ConvTranspose",
        operands,
        (image[0], result[3], result[1], result[2]),
        {
            "kernel_shape": list(weights[1:3]),
            "strides": strides,
            "pads": [*(each // 2 for each in cut), *(each - each // 2 for each in cut)],
            "output_padding": [max(-each, 0) for each in surplus],
        },
    )
    return site.permute(fused_activation(site, value), TO_NHWC, "NHWC")
