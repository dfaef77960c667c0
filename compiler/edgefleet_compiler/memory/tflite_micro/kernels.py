"""What the kernels of TFLite Micro keep and ask for: parsed options, data of their own, scratch buffers.

One row an operator; the structures are those of tensorflow/tflite-micro at 90b983c2, for int8 and float32 models:
options from ``compiler/mlir/lite/core/c/builtin_op_data.h`` where ``lite/core/api/flatbuffer_conversions.cc`` allocates
them, data from ``micro/kernels/*.h`` and ``micro/kernels/cmsis_nn/*.cc``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Final, Literal

import numpy as np

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.memory.tflite_micro import cmsis_nn
from edgefleet_compiler.memory.tflite_micro.structures import EVAL_TENSOR, sizeof
from edgefleet_hardware.profile import Kernels

_INT8: Final = np.dtype(np.int8)
_QUANTISATION_BYTES: Final = 28  # QuantizationOpDataBatchMatmul: seven numbers of 32 bits


@dataclass(frozen=True)
class Build:
    """How TFLite Micro is built.

    Attributes:
        kernels: Which kernels; those of CMSIS-NN are built for speed (TFLite Micro's default).
        vectors: The widest instructions that CMSIS-NN is compiled for: none, the DSP extension, or MVE (Helium).
        enum_bytes: What the compiler makes of enumerations: 1 for Arm without an operating system, 4 elsewhere.
    """

    kernels: Kernels
    vectors: Literal["none", "dsp", "mve"] = "none"
    enum_bytes: Literal[1, 4] = 1


@dataclass(frozen=True)
class Kernel:
    """The structures of one operator, as layouts (see ``structures``); "" where it has none.

    Attributes:
        options: What is parsed from the operator's options table.
        data: What the reference kernel keeps.
        cmsis_nn: What CMSIS-NN's kernel keeps; None where it is the reference kernel.
    """

    options: str = ""
    data: str = ""
    cmsis_nn: str | None = None

    def data_in(self, build: Build) -> str:
        """The layout of what the kernel keeps."""
        return self.data if build.kernels == "reference" or self.cmsis_nn is None else self.cmsis_nn


@dataclass(frozen=True)
class Requests:
    """What a kernel asks for while it prepares, in bytes: to keep, and for its own step only."""

    persistent: Sequence[int] = ()
    scratch: Sequence[int] = ()


_CONVOLUTION = Kernel("eiieiie", "i" * 14, "i" * 15)
_POOL = Kernel("eiiiieiiii", "i" * 8, "i" * 9)
_REDUCTION = Kernel("b", "i" * 11)
_COMPARISON = Kernel("", "iiiiiiib")
_PLAIN = Kernel()
_SOFTMAX_DATA = "d" + "i" * 12
_TRANSPOSE_CONV_DATA = "b" + "h" * 8 + "i" * 9

KERNELS: Final[Mapping[str, Kernel]] = {
    "ABS": Kernel("", "iiiibee"),
    "ADD": Kernel("eb", "b" + "i" * 14),
    "ARG_MAX": Kernel("e"),
    "ARG_MIN": Kernel("e"),
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": Kernel("bbb", "iiibbb", "iiibbb" + "iiii" + "i"),
    "BATCH_TO_SPACE_ND": _PLAIN,
    "BROADCAST_TO": _PLAIN,
    "CAST": Kernel("ee"),
    "CEIL": _PLAIN,
    "CONCATENATION": Kernel("ie", "iiiiii"),
    "CONV_2D": _CONVOLUTION,
    "COS": _PLAIN,
    "DEPTHWISE_CONV_2D": Kernel("eiiieii", _CONVOLUTION.data, _CONVOLUTION.cmsis_nn),
    "DEPTH_TO_SPACE": Kernel("i"),
    "DEQUANTIZE": Kernel("", "di" + "iii"),
    "DIV": Kernel("e", "i" * 7),
    "ELU": Kernel("", "b" * 256),
    "EQUAL": _COMPARISON,
    "EXP": _PLAIN,
    "EXPAND_DIMS": _PLAIN,
    "FILL": _PLAIN,
    "FLOOR": _PLAIN,
    "FULLY_CONNECTED": Kernel("eebbe", "i" * 11 + "b", "i" * 11 + "b" + "i" * 6),
    "GATHER": Kernel("ii"),
    "GREATER": _COMPARISON,
    "GREATER_EQUAL": _COMPARISON,
    "HARD_SWISH": Kernel("", "hhhihi"),
    "L2_NORMALIZATION": Kernel("e", "i"),
    "LEAKY_RELU": Kernel("i", "i" * 6),
    "LESS": _COMPARISON,
    "LESS_EQUAL": _COMPARISON,
    "LOG": _PLAIN,
    "LOGICAL_AND": _PLAIN,
    "LOGICAL_NOT": _PLAIN,
    "LOGICAL_OR": _PLAIN,
    "LOGISTIC": Kernel("", "i" * 4),
    "LOG_SOFTMAX": Kernel("", "i" * 7),
    "MAXIMUM": _PLAIN,
    "MAX_POOL_2D": _POOL,
    "MEAN": _REDUCTION,
    "MINIMUM": _PLAIN,
    "MIRROR_PAD": Kernel("e", "i" * 5),
    "MUL": Kernel("e", "i" * 9),
    "NEG": _PLAIN,
    "NOT_EQUAL": _COMPARISON,
    "PACK": Kernel("ii"),
    "PAD": Kernel("", "biiiiibiiiiib" + "i"),
    "PADV2": Kernel("", "biiiiibiiiiib" + "i"),
    "PRELU": Kernel("", "i" * 7),
    "QUANTIZE": Kernel("", "id" + "iii"),
    "REDUCE_MAX": _REDUCTION,
    "REDUCE_MIN": _REDUCTION,
    "RELU": Kernel("", "bii" + "iiii"),
    "RELU6": Kernel("", "ii"),
    "RESHAPE": Kernel("i" * 9),
    "RESIZE_BILINEAR": Kernel("bb"),
    "RESIZE_NEAREST_NEIGHBOR": Kernel("bb"),
    "ROUND": _PLAIN,
    "RSQRT": Kernel("", "iiiibee"),
    "SELECT_V2": Kernel("", "b"),
    "SHAPE": Kernel("e"),
    "SIN": _PLAIN,
    "SLICE": _PLAIN,
    "SOFTMAX": Kernel("i", _SOFTMAX_DATA, _SOFTMAX_DATA + "ii"),
    "SPACE_TO_BATCH_ND": Kernel("", "i"),
    "SPACE_TO_DEPTH": Kernel("i"),
    "SPLIT": Kernel("i"),
    "SPLIT_V": Kernel("i"),
    "SQRT": _PLAIN,
    "SQUARE": _PLAIN,
    "SQUARED_DIFFERENCE": Kernel("", "d" + "b" + "i" * 14 + "dd" + "hh" + "i" * 5),
    "SQUEEZE": Kernel("i" * 9),
    "STRIDED_SLICE": Kernel("iiiiib", ("b" + "i" * 5) * 3 + "h" * 5 + "b"),
    "SUB": Kernel("eb", "b" + "i" * 12),
    "SUM": _REDUCTION,
    "SVDF": Kernel("ieb", "i" * 9, "i" * 10),
    "TANH": Kernel("", "i" * 4),
    "TRANSPOSE": _PLAIN,
    "TRANSPOSE_CONV": Kernel("eiiee", _TRANSPOSE_CONV_DATA + "iiii", _TRANSPOSE_CONV_DATA + "iiiii"),
    "UNPACK": Kernel("ii"),
    "ZEROS_LIKE": _PLAIN,
}


@dataclass(frozen=True)
class _Use:
    """An operator with its tensors, and the build that runs it."""

    operator: Operator
    build: Build
    inputs: Sequence[Tensor | None]
    output: Tensor = field()

    def operand(self, index: int) -> Tensor:
        tensor = self.inputs[index]
        assert tensor is not None, f"{self.operator.kind} without operand {index}"
        return tensor

    @property
    def is_int8(self) -> bool:
        return self.operand(0).dtype == _INT8

    @property
    def is_cmsis_nn(self) -> bool:
        """Whether CMSIS-NN computes it: its kernels leave float to the reference."""
        return self.build.kernels == "cmsis-nn" and self.is_int8


def requests_of(operator: Operator, graph: LoweredGraph, build: Build) -> Requests:
    """What the kernel of an operator asks for while it prepares.

    Args:
        operator: An operator of ``graph`` whose kind is in ``KERNELS``.
        graph: For the operator's tensors.
        build: How TFLite Micro is built.
    """
    rule = _RULES.get(operator.kind)
    if rule is None:
        return Requests()
    inputs = [None if name is None else graph.tensors[name] for name in operator.inputs]
    return rule(_Use(operator, build, inputs, graph.tensors[operator.outputs[0]]))


def _multipliers(channels: int) -> tuple[int, int]:
    """A multiplier and a shift of 32 bits for each output channel."""
    return 4 * channels, 4 * channels


def _conv_2d(use: _Use) -> Requests:
    weights = use.operand(1)
    if use.build.kernels == "cmsis-nn" and not use.is_int8:
        return Requests()
    persistent = _multipliers(weights.shape[0])
    if not use.is_cmsis_nn:
        return Requests(persistent)
    window = cmsis_nn.Window.of(use.operator, use.operand(0).shape, weights.shape, use.output.shape)
    return Requests(persistent, _wanted(cmsis_nn.convolution(window, use.build.vectors)))


def _depthwise_conv_2d(use: _Use) -> Requests:
    weights = use.operand(1)
    if use.build.kernels == "cmsis-nn" and not use.is_int8:
        return Requests()
    persistent = _multipliers(weights.shape[3])
    if not use.is_cmsis_nn:
        return Requests(persistent)
    window = cmsis_nn.Window.of(use.operator, use.operand(0).shape, weights.shape, use.output.shape)
    return Requests(persistent, _wanted(cmsis_nn.depthwise_convolution(window, use.build.vectors)))


def _transpose_conv(use: _Use) -> Requests:
    weights, image, output = use.operand(1), use.operand(2), use.output
    persistent = _multipliers(weights.shape[0])
    if image.dtype != _INT8:
        return Requests(persistent)
    if use.build.kernels == "reference":
        return Requests(persistent, [4 * prod(output.shape)])
    stride = (use.operator.integer("stride_h", 1), use.operator.integer("stride_w", 1))
    return Requests(
        persistent,
        cmsis_nn.transposed_convolution(image.shape, weights.shape, stride, use.build.vectors),
    )


def _fully_connected(use: _Use) -> Requests:
    if not use.is_int8:
        return Requests()
    weights, units = use.operand(1), use.output.shape[-1]
    per_channel = weights.quantisation is not None and weights.quantisation.per_channel
    persistent = [*_multipliers(units)] if per_channel else []
    if not use.is_cmsis_nn:
        return Requests(persistent)
    if len(use.output.shape) > 2 and weights.shape[-1] % 4 == 0:  # runs as a convolution of 1 x 1
        return Requests(persistent, [] if per_channel else [sum(_multipliers(units))])
    if use.build.vectors == "mve":  # sums of the weights, kept because kernels are built for speed
        persistent.append(4 * units)
    return Requests(persistent)


def _average_pool_2d(use: _Use) -> Requests:
    row_of_sums = use.is_cmsis_nn and use.build.vectors == "dsp"
    return Requests(scratch=[4 * use.operand(0).shape[3]] if row_of_sums else [])


def _mean_or_sum(use: _Use) -> Requests:
    sums = [4 * prod(use.output.shape)] if use.is_int8 else []
    return Requests(scratch=[*sums, *_reduction_indices(use)])


def _extreme(use: _Use) -> Requests:
    return Requests(scratch=_reduction_indices(use))


def _reduction_indices(use: _Use) -> list[int]:
    return [4 * len(use.operand(0).shape), 4 * prod(use.operand(1).shape)]


def _batch_matmul(use: _Use) -> Requests:
    """Quantisation, and a transposed copy of an operand unless it lies as the kernel wants it."""
    left, right = use.operand(0), use.operand(1)
    persistent = [_QUANTISATION_BYTES] if use.is_int8 and use.build.kernels == "reference" else []
    transposed = [left] if use.operator.attributes.get("adj_x") else []
    transposed += [] if use.operator.attributes.get("adj_y") else [right]
    tensor_bytes = sizeof(EVAL_TENSOR, use.build.enum_bytes)
    for tensor in transposed:
        persistent += [tensor_bytes, 4 * (1 + len(tensor.shape)), prod(tensor.shape) * tensor.dtype.itemsize]
    if use.is_cmsis_nn:
        persistent.append(_QUANTISATION_BYTES)
    sums = use.is_cmsis_nn and use.build.vectors == "mve"
    return Requests(persistent, [4 * use.output.shape[-1]] if sums else [])


def _svdf(use: _Use) -> Requests:
    filters, units, batch = use.operand(1).shape[0], use.output.shape[1], use.operand(0).shape[0]
    if not use.is_int8:
        return Requests(scratch=[4 * batch * filters])
    sums = use.is_cmsis_nn and use.build.vectors == "mve"
    return Requests([4 * filters] if sums else [], [4 * batch * filters, 4 * batch * units])


def _mirror_pad(use: _Use) -> Requests:
    rank = len(use.operand(0).shape)
    return Requests(scratch=[4 * rank, 4 * rank])


def _wanted(size: int) -> list[int]:
    """A scratch buffer, unless it would be empty: kernels ask for none then."""
    return [size] if size > 0 else []


_RULES: Final[Mapping[str, Callable[[_Use], Requests]]] = {
    "AVERAGE_POOL_2D": _average_pool_2d,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "MEAN": _mean_or_sum,
    "MIRROR_PAD": _mirror_pad,
    "REDUCE_MAX": _extreme,
    "REDUCE_MIN": _extreme,
    "SUM": _mean_or_sum,
    "SVDF": _svdf,
    "TRANSPOSE_CONV": _transpose_conv,
}
