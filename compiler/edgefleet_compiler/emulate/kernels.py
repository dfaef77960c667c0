"""Which kernel computes which operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgefleet_compiler.emulate.activations import hard_swish, leaky_relu, logistic, relu, relu6, tanh
from edgefleet_compiler.emulate.conversion import dequantise, quantise
from edgefleet_compiler.emulate.convolution import convolution, depthwise_convolution
from edgefleet_compiler.emulate.elementwise import addition, extreme, multiplication, subtraction
from edgefleet_compiler.emulate.fully_connected import fully_connected
from edgefleet_compiler.emulate.moving import concatenation, nearest, pad, part, reshape, strided_part, transpose
from edgefleet_compiler.emulate.pooling import average_pool, max_pool, mean
from edgefleet_compiler.emulate.site import Run, Site
from edgefleet_compiler.emulate.softmax import softmax

KERNELS: Final[dict[str, Callable[[Site], Run]]] = {
    "ADD": addition,
    "AVERAGE_POOL_2D": average_pool,
    "CONCATENATION": concatenation,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise_convolution,
    "DEQUANTIZE": dequantise,
    "EXPAND_DIMS": reshape,
    "FULLY_CONNECTED": fully_connected,
    "HARD_SWISH": hard_swish,
    "LEAKY_RELU": leaky_relu,
    "LOGISTIC": logistic,
    "MAXIMUM": extreme,
    "MAX_POOL_2D": max_pool,
    "MEAN": mean,
    "MINIMUM": extreme,
    "MUL": multiplication,
    "PAD": pad,
    "PADV2": pad,
    "QUANTIZE": quantise,
    "RELU": relu,
    "RELU6": relu6,
    "RESHAPE": reshape,
    "RESIZE_NEAREST_NEIGHBOR": nearest,
    "SLICE": part,
    "SOFTMAX": softmax,
    "SQUEEZE": reshape,
    "STRIDED_SLICE": strided_part,
    "SUB": subtraction,
    "TANH": tanh,
    "TRANSPOSE": transpose,
}
