"""The scratch buffers of CMSIS-NN's int8 kernels, in bytes.

The rules are those of ARM-software/CMSIS-NN at 99f736a, ``Source/ConvolutionFunctions/arm_*_get_buffer_sizes_s8.c``
and ``arm_depthwise_conv_get_buffer_sizes_s4.c``, compiled by GCC (armclang gives the fast 1 x 1 convolution a buffer,
GCC none).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from edgefleet_compiler.lowered.graph import Operator
from edgefleet_compiler.memory.greedy import align

Vectors = Literal["none", "dsp", "mve"]

_MVE_CHANNEL_BLOCK: Final = 124  # CH_IN_BLOCK_MVE
_MVE_ROWS: Final = 4  # columns of the image that one step of the matrix product reads
_MVE_LANES: Final = 16  # bytes of a Q register
# Above so many output channels, a depthwise convolution of one input channel runs as a plain one.
_MVE_ONE_CHANNEL_LIMIT: Final = 8
_REVERSE_EFFICIENT_CHANNELS: Final = 16  # REVERSE_TCOL_EFFICIENT_THRESHOLD


@dataclass(frozen=True)
class Window:
    """A convolution: its image, weights and how the window moves.

    Attributes:
        batch, height, width, channels: Of the image.
        output_width, output_channels: Of the result.
        filter_height, filter_width, filter_channels: Of the weights; fewer channels than the image has when grouped.
        stride_height, stride_width: Steps of the window.
        dilated: Whether the window has holes.
        pad_top, pad_left: Padding before the image.
    """

    batch: int
    height: int
    width: int
    channels: int
    output_width: int
    output_channels: int
    filter_height: int
    filter_width: int
    filter_channels: int
    stride_height: int
    stride_width: int
    dilated: bool
    pad_top: int
    pad_left: int

    @classmethod
    def of(cls, operator: Operator, image: Sequence[int], weights: Sequence[int], output: Sequence[int]) -> Window:
        """The window of a CONV_2D (weights O, H, W, I) or DEPTHWISE_CONV_2D (1, H, W, O); images are N, H, W, C."""
        strides = (operator.integer("stride_h", 1), operator.integer("stride_w", 1))
        dilations = (operator.integer("dilation_h_factor", 1), operator.integer("dilation_w_factor", 1))
        pads = [
            max(0, (out - 1) * stride + (size - 1) * dilation + 1 - extent) // 2
            if operator.attributes.get("padding", "SAME") == "SAME"
            else 0
            for extent, size, out, stride, dilation in zip(
                image[1:3], weights[1:3], output[1:3], strides, dilations, strict=True
            )
        ]
        return cls(
            batch=image[0],
            height=image[1],
            width=image[2],
            channels=image[3],
            output_width=output[2],
            output_channels=output[3],
            filter_height=weights[1],
            filter_width=weights[2],
            filter_channels=weights[3],
            stride_height=strides[0],
            stride_width=strides[1],
            dilated=dilations != (1, 1),
            pad_top=pads[0],
            pad_left=pads[1],
        )


def convolution(window: Window, vectors: Vectors) -> int:
    """``arm_convolve_wrapper_s8_get_buffer_size``: the columns of the image that are laid out as a matrix."""
    whole = window.channels == window.filter_channels
    unpadded = window.pad_top == window.pad_left == 0
    if whole and unpadded and not window.dilated and window.filter_height == window.filter_width == 1:
        return 0
    is_row = window.height == window.filter_height == 1 and not window.dilated
    if vectors == "mve" and whole and is_row and window.stride_width * window.channels % 4 == 0:
        return _row_convolution_mve(window)
    return _columns(window, vectors)


def _columns(window: Window, vectors: Vectors) -> int:
    column = window.channels * window.filter_height * window.filter_width
    return _MVE_ROWS * align(column, _MVE_LANES) if vectors == "mve" else 2 * align(column, 4) * 2


def _row_convolution_mve(window: Window) -> int:
    """A convolution along one axis reads the image in place but for the padded ends."""
    step, pad = window.stride_width, window.pad_left
    uneven = ((window.output_width - 1) * step + window.filter_width - window.width) % 2
    right = max(1, (pad + uneven + step - 1) // step) if pad + uneven else 0
    left = max(1, (pad + step - 1) // step) if pad else 0
    if right + max(window.output_width - right - left, 0) + left != window.output_width:
        return _columns(window, "mve")
    elements = window.filter_width * window.channels
    padded_left = pad * window.channels
    padded_right = right * window.channels if uneven else padded_left
    return max(elements + padded_left, elements - window.channels + padded_right)


def depthwise_convolution(window: Window, vectors: Vectors) -> int:
    """``arm_depthwise_conv_wrapper_s8_get_buffer_size``."""
    elements = window.filter_height * window.filter_width
    if vectors == "mve" and window.channels == 1 and window.output_channels > _MVE_ONE_CHANNEL_LIMIT:
        plain = replace(window, filter_channels=1)
        return convolution(plain, "mve") + window.output_channels * elements
    if window.channels != window.output_channels or window.batch != 1 or window.dilated:
        return 0
    if vectors == "mve":
        return _MVE_ROWS * _MVE_CHANNEL_BLOCK * elements
    is_3x3 = window.filter_height == window.filter_width == 3 and window.pad_top <= 1 and window.pad_left <= 1
    return 0 if is_3x3 or vectors == "none" else 2 * window.channels * elements


def depthwise_convolution_of_four_bits(window: Window, vectors: Vectors) -> int:
    """``arm_depthwise_conv_wrapper_s4_get_buffer_size``; other kernels of 4 bits ask for what those of 8 bits do."""
    if window.channels != window.output_channels or window.batch != 1 or window.dilated:
        return 0
    elements = window.filter_height * window.filter_width
    return _MVE_ROWS * _MVE_CHANNEL_BLOCK * elements if vectors == "mve" else 2 * window.channels * elements


def transposed_convolution(
    image: Sequence[int], weights: Sequence[int], stride: tuple[int, int], vectors: Vectors
) -> list[int]:
    """``arm_transpose_conv_s8_get_buffer_size`` and the buffer for reversed weights, which may be empty.

    Args:
        image: N, H, W, C.
        weights: O, H, W, I.
        stride: Height, width.
        vectors: What CMSIS-NN is compiled for.
    """
    units, filter_height, filter_width, channels = weights
    if max(stride) <= 2 and channels > _REVERSE_EFFICIENT_CHANNELS:
        column = channels * filter_height * filter_width
        columns = _MVE_ROWS * align(column, _MVE_LANES) if vectors == "mve" else 2 * align(column, 4) * 2
        return [columns, column * units]
    row = ((image[2] - 1) * stride[1] + max(filter_width, stride[0])) * units
    return [4 * row * max(filter_height, stride[0]), 0]
