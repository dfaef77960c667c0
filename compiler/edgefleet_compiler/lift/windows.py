"""Windows that slide over an image: what TFLite's padding, strides and dilations come to in ONNX's terms."""

from __future__ import annotations

from dataclasses import dataclass

from edgefleet_compiler.lift.site import Site
from edgefleet_compiler.lowered.padding import reach


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution or pool over height and width.

    Attributes:
        kernel: Extent of a window, before dilation.
        strides: Step from window to window.
        dilations: Step from element to element of a window.
        pads: Elements added top, left, bottom and right, as ONNX orders them.
        outputs: How many windows fit.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    outputs: tuple[int, int]


def windows_of(site: Site, kernel: tuple[int, int], dilations: tuple[int, int] = (1, 1)) -> Windows:
    """The windows of an operator with the options ``padding``, ``stride_h`` and ``stride_w``.

    Args:
        site: Its first input is N, H, W, C.
        kernel: Height and width of a window.
        dilations: Vertical and horizontal.

    Raises:
        ModelMalformed: Extents or steps below one, or not a single window that fits.
    """
    strides = (site.option("stride_h"), site.option("stride_w"))
    site.require(
        min(*kernel, *strides, *dilations) >= 1,
        f"has kernel {list(kernel)}, strides {list(strides)} and dilations {list(dilations)}",
        "1 or more",
    )
    same = site.option("padding") == "SAME"
    rows, columns = site.tensor(0).shape[1:3]
    top, bottom, high = _along(rows, reach(kernel[0], dilations[0]), strides[0], same=same)
    left, right, wide = _along(columns, reach(kernel[1], dilations[1]), strides[1], same=same)
    site.require(high >= 1 and wide >= 1, f"has windows of {list(kernel)}, larger than the image of {[rows, columns]}")
    return Windows(kernel, strides, dilations, (top, left, bottom, right), (high, wide))


def _along(extent: int, window: int, stride: int, *, same: bool) -> tuple[int, int, int]:
    """Padding before and after one axis, and how many windows fit.

    SAME gives ceil(extent / stride) windows and pads what is missing for that, the odd element after (TensorFlow,
    ``tf.nn.convolution``); VALID pads nothing.
    """
    if not same:
        return 0, 0, (extent - window) // stride + 1
    outputs = -(-extent // stride)
    missing = max((outputs - 1) * stride + window - extent, 0)
    return missing // 2, missing - missing // 2, outputs
