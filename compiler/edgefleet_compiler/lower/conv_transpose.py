"""ConvTranspose: TRANSPOSE_CONV; in groups, a convolution over the image with zeros between its elements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.weights import constant_operands
from edgefleet_compiler.lower.window import Pair, Window, finish_image, image_input, image_output_shape, window_of
from edgefleet_compiler.lowered.graph import AttributeValue
from edgefleet_compiler.lowered.padding import is_same


def lower_conv_transpose(site: Site) -> None:
    """Lower a transposed convolution.

    Element i of the input, times element k of the kernel, is added to element i * stride + k * dilation - before of the
    output (ONNX operator specification, ConvTranspose). TFLite has neither groups nor dilation in its operator.
    """
    weight, bias = constant_operands(site)
    window = window_of(site, weight.stored.shape[2:])
    groups = site.node.attributes.get_int("group", 1)
    filters = _as_image_filters(weight)
    outputs = filters.stored.shape[1] * groups
    biases = site.add_operand(bias or Constant("no_bias", np.zeros(outputs, np.float32)))
    if groups == 1:
        _scatter(site, filters, biases, window)
    else:
        _convolve_spread(site, filters, biases, window, groups)


def _overhang(window: Window, axis: int) -> int:
    """How many elements the output has behind all that anything is added to: the biases alone."""
    return window.before[axis] + window.outputs[axis] - _reached(window, axis)


def _reached(window: Window, axis: int) -> int:
    """How many elements the input and the kernel reach together."""
    return (window.extent[axis] - 1) * window.strides[axis] + window.span[axis]


def _as_image_filters(weight: Constant) -> Constant:
    """Filters as input channels, output channels of a group, height, width."""
    if weight.stored.ndim == 4:
        return weight
    inputs, outputs, width = weight.stored.shape
    return weight.rearranged(weight.stored.reshape(inputs, outputs, 1, width), _channel_axis(weight))


def _channel_axis(weight: Constant) -> int:
    return 0 if weight.quantisation is None else weight.quantisation.axis


def _scatter(site: Site, weight: Constant, bias: str, window: Window) -> None:
    """TRANSPOSE_CONV; SAME where that cuts as the node does, else the whole result is computed and cut."""
    filters = weight.rearranged(_dilated(weight.stored, window), _channel_axis(weight))
    operand = site.add_operand(filters.transposed((1, 2, 3, 0)))
    image = image_input(site)
    outputs = image_output_shape(site)
    if _cuts_as_same(window):
        attributes: dict[str, AttributeValue] = {"padding": "SAME", **window.stride_attributes}
        finish_image(
            site, "TRANSPOSE_CONV", [site.add_setting("output_shape", outputs), operand, image, bias], attributes
        )
        return
    rows, columns = (_reached(window, axis) + max(_overhang(window, axis), 0) for axis in (0, 1))
    whole = (outputs[0], rows, columns, outputs[3])
    inputs: list[str | None] = [site.add_setting("output_shape", whole), operand, image, bias]
    attributes = {"padding": "VALID", **window.stride_attributes}
    if whole == outputs:
        finish_image(site, "TRANSPOSE_CONV", inputs, attributes)
        return
    result = site.emit("TRANSPOSE_CONV", inputs, whole, attributes)
    bounds = [site.add_setting("begin", [0, *window.before, 0]), site.add_setting("size", outputs)]
    finish_image(site, "SLICE", [result, *bounds])


def _cuts_as_same(window: Window) -> bool:
    """Whether SAME, which is the padding of the convolution that this one undoes, is what the node cuts off."""
    return all(
        is_same(window.outputs[axis], window.span[axis], window.strides[axis], window.before[axis], window.extent[axis])
        for axis in (0, 1)
    )


def _dilated(filters: NDArray[np.generic], window: Window) -> NDArray[np.generic]:
    """The kernel with zeros in its gaps."""
    spread = np.zeros((*filters.shape[:2], *window.span), filters.dtype)
    spread[:, :, :: window.dilations[0], :: window.dilations[1]] = filters
    return spread


def _convolve_spread(site: Site, weight: Constant, bias: str, window: Window, groups: int) -> None:
    """The same sums gathered: a convolution of stride 1 by the turned kernel, over the spread image."""
    image = _placed(site, _spread(site, image_input(site), window.strides), window)
    inputs, outputs, *kernel = weight.stored.shape
    if weight.quantisation is not None and weight.quantisation.per_channel:
        weight = weight.as_float  # a scale stands for the same channel of every group, and here each has its own
    per_group = weight.stored.reshape(groups, inputs // groups, outputs, *kernel)
    turned = np.flip(per_group.transpose(0, 2, 3, 4, 1), (2, 3))  # group, output, H, W, input
    depthwise = inputs == groups
    if depthwise:
        filters = turned.transpose(4, 2, 3, 0, 1).reshape(1, *kernel, groups * outputs)
    else:
        filters = turned.reshape(groups * outputs, *kernel, inputs // groups)
    operand = site.add_operand(weight.rearranged(np.ascontiguousarray(filters), channel_axis=0))
    attributes: dict[str, AttributeValue] = {
        "padding": "VALID",
        "stride_h": 1,
        "stride_w": 1,
        "dilation_h_factor": window.dilations[0],
        "dilation_w_factor": window.dilations[1],
    }
    if depthwise:
        finish_image(site, "DEPTHWISE_CONV_2D", [image, operand, bias], {**attributes, "depth_multiplier": outputs})
    else:
        finish_image(site, "CONV_2D", [image, operand, bias], attributes)


def _spread(site: Site, image: str, strides: Pair) -> str:
    """``image`` with ``stride - 1`` zeros behind each row and each column."""
    batch, height, width, channels = site.stored_shape(image)
    rows, columns = height * strides[0], width * strides[1]
    image = _followed_by_zeros(site, site.reshape(image, (batch, height, 1, width * channels)), strides[0])
    image = _followed_by_zeros(site, site.reshape(image, (batch * rows, width, 1, channels)), strides[1])
    return site.reshape(image, (batch, rows, columns, channels))


def _followed_by_zeros(site: Site, tensor: str, stride: int) -> str:
    if stride == 1:
        return tensor
    outer, middle, _, inner = site.stored_shape(tensor)
    amounts = site.add_setting("paddings", [[0, 0], [0, 0], [0, stride - 1], [0, 0]])
    return site.emit("PAD", [tensor, amounts], (outer, middle, stride, inner))


def _placed(site: Site, image: str, window: Window) -> str:
    """The spread image padded, or cut, so that one window of stride 1 stands for each output."""
    batch, *extent, channels = site.stored_shape(image)
    before = [window.span[axis] - 1 - window.before[axis] for axis in (0, 1)]
    after = [window.outputs[axis] + window.span[axis] - 1 - before[axis] - extent[axis] for axis in (0, 1)]
    begin = [max(-amount, 0) for amount in before]
    kept = [extent[axis] - begin[axis] - max(-after[axis], 0) for axis in (0, 1)]
    if kept != extent:
        bounds = [
            site.add_setting("begin", [0, *begin, 0]),
            site.add_setting("size", [batch, *kept, channels]),
        ]
        image = site.emit("SLICE", [image, *bounds], (batch, *kept, channels))
    amounts = [[0, 0], *([max(low, 0), max(high, 0)] for low, high in zip(before, after, strict=True)), [0, 0]]
    if not any(map(any, amounts)):
        return image
    shape = (batch, *(window.outputs[axis] + window.span[axis] - 1 for axis in (0, 1)), channels)
    return site.emit("PAD", [image, site.add_setting("paddings", amounts)], shape)
