"""MaxPool and AveragePool: MAX_POOL_2D and AVERAGE_POOL_2D, and what it takes where those know no such padding."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.window import Window, finish_image, image_input, image_output_shape, padded, window_of
from edgefleet_compiler.lowered.graph import AttributeValue


def lower_max_pool(site: Site) -> None:
    """Lower MaxPool; padding never wins, so it is the lowest value there is."""
    if any(output.uses() or output.is_graph_output() for output in site.node.outputs[1:]):
        site.refuse("its indices are used; TFLite's MAX_POOL_2D has none")
    window = window_of(site, site.ints("kernel_shape", ()))
    lowest = site.add_like_output("lowest", np.array([np.finfo(np.float32).min], np.float32))
    image = padded(site, image_input(site), window, lowest)
    if window.dilations == (1, 1):
        finish_image(site, "MAX_POOL_2D", [image], _attributes(window, "VALID"))
    else:
        _finish_dilated(site, image, window)


def lower_average_pool(site: Site) -> None:
    """Lower AveragePool.

    TFLite divides by the elements that lie inside the image, and pads only as SAME does. Where the node divides by
    other counts, the image is padded with zeros, averaged over whole windows, and scaled by the ratio of the counts.
    """
    window = window_of(site, site.ints("kernel_shape", ()))
    if window.dilations != (1, 1):
        site.refuse("its window is dilated; TFLite's AVERAGE_POOL_2D has no dilation")
    counts = _counts(window, include_padding=bool(site.node.attributes.get_int("count_include_pad", 0)))
    area = window.kernel[0] * window.kernel[1]
    if window.is_same and np.array_equal(counts, _counts(window, include_padding=False)):
        finish_image(site, "AVERAGE_POOL_2D", [image_input(site)], _attributes(window, "SAME"))
        return
    if not (counts == area).all():
        site.compute_in_float()  # int8 would round twice, and the ratios once more
    image = padded(site, image_input(site), window)
    if (counts == area).all():
        finish_image(site, "AVERAGE_POOL_2D", [image], _attributes(window, "VALID"))
        return
    means = site.emit("AVERAGE_POOL_2D", [image], image_output_shape(site), _attributes(window, "VALID"))
    ratios = Constant("ratios", (area / counts).astype(np.float32)[None, :, :, None])
    finish_image(site, "MUL", [means, site.add_operand(ratios)])


def _attributes(window: Window, padding: str) -> dict[str, AttributeValue]:
    return {
        "padding": padding,
        **window.stride_attributes,
        "filter_height": window.kernel[0],
        "filter_width": window.kernel[1],
    }


def _counts(window: Window, *, include_padding: bool) -> NDArray[np.float64]:
    """How many elements each window is divided by: those inside the image, with the node's padding or without.

    What a window reaches beyond that, where the output was rounded up, never counts (ONNX, AveragePool since 19).
    """
    per_axis = []
    for axis in (0, 1):
        first = -window.before[axis] if include_padding else 0
        beyond = window.extent[axis] + (window.padded_after[axis] if include_padding else 0)
        starts = np.arange(window.outputs[axis]) * window.strides[axis] - window.before[axis]
        stops = np.minimum(starts + window.kernel[axis], beyond)
        per_axis.append(stops - np.maximum(starts, first))
    return np.outer(per_axis[0], per_axis[1]).astype(np.float64)


def _finish_dilated(site: Site, image: str, window: Window) -> None:
    """The maximum over the kernel's elements, each a strided view of the image."""
    shape = image_output_shape(site)
    (rows, columns), (step_down, step_right) = window.outputs, window.strides
    views = []
    for row, column in product(range(window.kernel[0]), range(window.kernel[1])):
        top, left = row * window.dilations[0], column * window.dilations[1]
        bottom, right = top + (rows - 1) * step_down + 1, left + (columns - 1) * step_right + 1
        bounds = [
            site.add_setting("begin", [0, top, left, 0]),
            site.add_setting("end", [shape[0], bottom, right, shape[3]]),
            site.add_setting("strides", [1, step_down, step_right, 1]),
        ]
        views.append(site.emit("STRIDED_SLICE", [image, *bounds], shape))
    highest = views[0]
    for view in views[1:-1]:
        highest = site.emit("MAXIMUM", [highest, view], shape)
    finish_image(site, "MAXIMUM", [highest, views[-1]])
