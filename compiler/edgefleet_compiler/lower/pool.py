"""MaxPool and AveragePool: MAX_POOL_2D and AVERAGE_POOL_2D, and what it takes where those know no such padding."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.layout import Shape
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.window import Window, axis_window, padded, plane_window
from edgefleet_compiler.lowered.graph import AttributeValue


def lower_max_pool(site: Site) -> None:
    """Lower MaxPool; padding never wins, so it is the lowest value there is."""
    if any(output.uses() or output.is_graph_output() for output in site.node.outputs[1:]):
        site.refuse("its indices are used; TFLite's MAX_POOL_2D has none")
    lowest = site.add_like_output("lowest", np.array([np.finfo(np.float32).min], np.float32))
    maxima = _slide(
        site, site.input(), lambda image, window: _maxima(site, padded(site, image, window, lowest), window)
    )
    site.finish_with(maxima)


def lower_average_pool(site: Site) -> None:
    """Lower AveragePool.

    TFLite divides by the elements that lie inside the image, and pads only as SAME does. Where the node divides by
    other counts, the image is padded with zeros, averaged over whole windows, and scaled by the ratio of the counts.
    """
    include_padding = bool(site.node.attributes.get_int("count_include_pad", 0))
    kernel = site.ints("kernel_shape", ())
    if len(kernel) > 2 or not _is_one_operator(plane_window(site, kernel), include_padding=include_padding):
        site.compute_in_float()  # integers would round twice, and the ratios once more
    # A mean spans less than what it is of: values that the output's parameters cannot hold must not be cut off before.
    image = site.input_stored_by(site.input_form() if site.integer else None)
    means = _slide(site, image, lambda image, window: _means(site, image, window, include_padding=include_padding))
    site.finish_with(site.stored_as_output(means))


def _slide(site: Site, image: str, pool: Callable[[str, Window], str]) -> str:
    """Pool along the last two axes, then along each axis before them: a box's maximum is one of its sides' maxima.

    Returns:
        The node's output, stored as ``image`` is.
    """
    kernel = site.ints("kernel_shape", ())
    batch, *extents, channels = site.stored_shape(image)
    plane = max(len(extents) - 2, 0)
    for axis in range(plane, -1, -1):
        if axis == plane:
            window = plane_window(site, kernel)
        else:
            window = axis_window(site, kernel, axis, prod(extents[axis + 1 :]))
        image = pool(site.reshape(image, (batch * prod(extents[:axis]), *window.extent, channels)), window)
        extents[axis:] = window.outputs
    return site.reshape(image, site.output_layout.shape(site.output_shape))


def _pooled_shape(site: Site, image: str, window: Window) -> Shape:
    batch, _, _, channels = site.stored_shape(image)
    return (batch, *window.outputs, channels)


def _maxima(site: Site, image: str, window: Window) -> str:
    """The maximum of each window of a padded image."""
    shape = _pooled_shape(site, image, window)
    if window.dilations == (1, 1):
        return site.emit("MAX_POOL_2D", [image], shape, _attributes(window, "VALID"), like=image)
    first, *others = _views(site, image, window)
    for view in others:
        first = site.emit("MAXIMUM", [first, view], shape)
    return first


def _means(site: Site, image: str, window: Window, *, include_padding: bool) -> str:
    """The mean of each window."""
    shape = _pooled_shape(site, image, window)
    if _is_same_padded(window, include_padding=include_padding):
        return site.emit("AVERAGE_POOL_2D", [image], shape, _attributes(window, "SAME"), like=image)
    image = padded(site, image, window)
    if window.dilations == (1, 1):
        means = site.emit("AVERAGE_POOL_2D", [image], shape, _attributes(window, "VALID"), like=image)
    else:
        means = _dilated_means(site, image, window)
    counts, area = _counts(window, include_padding=include_padding), prod(window.kernel)
    if (counts == area).all():
        return means
    ratios = Constant("ratios", (area / counts).astype(np.float32)[None, :, :, None])
    return site.emit("MUL", [means, site.add_operand(ratios)], shape)


def _is_one_operator(window: Window, *, include_padding: bool) -> bool:
    """Whether one AVERAGE_POOL_2D computes the means."""
    if window.dilations != (1, 1):
        return False
    whole = (_counts(window, include_padding=include_padding) == prod(window.kernel)).all()
    return bool(whole) or _is_same_padded(window, include_padding=include_padding)


def _is_same_padded(window: Window, *, include_padding: bool) -> bool:
    """Whether SAME, which divides by the elements inside the image, does what the window does."""
    counts = _counts(window, include_padding=include_padding)
    inside = _counts(window, include_padding=False)
    return window.dilations == (1, 1) and window.is_same and np.array_equal(counts, inside)


def _dilated_means(site: Site, image: str, window: Window) -> str:
    """The mean of the elements of dilated windows, as a depthwise convolution; AVERAGE_POOL_2D has no dilation."""
    shape = _pooled_shape(site, image, window)
    channels, area = shape[3], prod(window.kernel)
    weights = site.add_float("mean_weights", np.full((1, *window.kernel, channels), 1 / area))
    attributes: dict[str, AttributeValue] = {
        "padding": "VALID",
        **window.stride_attributes,
        "dilation_h_factor": window.dilations[0],
        "dilation_w_factor": window.dilations[1],
        "depth_multiplier": 1,
    }
    operands = [image, weights, site.add_float("no_bias", np.zeros(channels))]
    return site.emit("DEPTHWISE_CONV_2D", operands, shape, attributes)


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
        places = starts[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
        per_axis.append(((places >= first) & (places < beyond)).sum(axis=1))
    return np.outer(per_axis[0], per_axis[1]).astype(np.float64)


def _views(site: Site, image: str, window: Window) -> list[str]:
    """For each element of the kernel, what it meets in each window: a strided view of the image."""
    shape = _pooled_shape(site, image, window)
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
    return views
