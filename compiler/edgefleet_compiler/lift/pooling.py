"""MAX_POOL_2D and AVERAGE_POOL_2D: MaxPool and AveragePool, between Transposes."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.hub import AttributeValues
from edgefleet_compiler.lift.site import TO_NCHW, TO_NHWC, Site
from edgefleet_compiler.lift.windows import windows_of


def lift_max_pool_2d(site: Site) -> ir.Value:
    """MAX_POOL_2D."""
    return _pool(site, "MaxPool", {})


def lift_average_pool_2d(site: Site) -> ir.Value:
    """AVERAGE_POOL_2D, whose averages are over the elements inside the image only."""
    return _pool(site, "AveragePool", {"count_include_pad": 0})


def _pool(site: Site, op_type: str, attributes: AttributeValues) -> ir.Value:
    image = site.tensor(0).shape
    site.require(len(image) == 4, f"takes an image of shape {list(image)}", "N, H, W, C")
    windows = windows_of(site, (site.option("filter_height"), site.option("filter_width")))
    result = site.emit(
        op_type,
        [site.permute(site.value(0), TO_NCHW, "NCHW")],
        (image[0], image[3], *windows.outputs),
        {
            "kernel_shape": list(windows.kernel),
            "strides": list(windows.strides),
            "pads": list(windows.pads),
            **attributes,
        },
    )
    return site.permute(fused_activation(site, result), TO_NHWC, "NHWC")
