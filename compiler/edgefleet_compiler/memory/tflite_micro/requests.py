"""What the kernels of TFLite Micro ask for while they prepare: memory to keep, and scratch buffers.

The rules are those of the kernels' Prepare functions in tensorflow/tflite-micro at 90b983c2 (``micro/kernels``,
``micro/kernels/cmsis_nn``), for int8 and float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.memory.tflite_micro import cmsis_nn
from edgefleet_compiler.memory.tflite_micro.kernels import Build
from edgefleet_compiler.memory.tflite_micro.structures import EVAL_TENSOR, sizeof

_INT8: Final = np.dtype(np.int8)
_INT16: Final = np.dtype(np.int16)
_QUANTISATION_BYTES: Final = 28  # QuantizationOpDataBatchMatmul: seven numbers of 32 bits


@dataclass(frozen=True)
class Requests:
    """What a kernel asks for while it prepares, in bytes: to keep, and for its own step only."""

    persistent: Sequence[int] = ()
    scratch: Sequence[int] = ()


@dataclass(frozen=True)
class _Use:
    """An operator with its tensors, and the build that runs it."""

    operator: Operator
    build: Build
    inputs: Sequence[Tensor | None]
    output: Tensor

    def operand(self, index: int) -> Tensor:
        tensor = self.inputs[index]
        assert tensor is not None, f"{self.operator.kind} without operand {index}"
        return tensor

    @property
    def is_int8(self) -> bool:
        return self.operand(0).dtype == _INT8

    @property
    def unpacked(self) -> list[int]:
        """Where the reference kernels unpack weights of 4 bits, at each inference."""
        weights = self.operand(1)
        return [prod(weights.shape)] if weights.dtype == INT4 else []

    @property
    def is_cmsis_nn(self) -> bool:
        """Whether CMSIS-NN computes it: its kernels leave float to the reference."""
        return self.build.kernels == "cmsis-nn" and self.is_int8


def requests_of(operator: Operator, graph: LoweredGraph, build: Build) -> Requests:
    """What the kernel of an operator asks for while it prepares.

    Args:
        operator: An operator of ``graph``.
        graph: For the operator's tensors.
        build: How TFLite Micro is built.
    """
    rule = _RULES.get(operator.kind)
    if rule is None:
        return Requests()
    inputs = [None if name is None else graph.tensors[name] for name in operator.inputs]
    return rule(_Use(operator, build, inputs, graph.tensors[operator.outputs[0]]))


def knows_type(operator: Operator, graph: LoweredGraph) -> bool:
    """Whether what the kernel asks for is known for the type of the operator's activations: no rule is for int16."""
    first = next((name for name in operator.inputs if name is not None), None)
    return operator.kind not in _RULES or first is None or graph.tensors[first].dtype != _INT16


def _multipliers(channels: int) -> tuple[int, int]:
    """A multiplier and a shift of 32 bits for each output channel."""
    return 4 * channels, 4 * channels


def _conv_2d(use: _Use) -> Requests:
    weights = use.operand(1)
    if use.build.kernels == "cmsis-nn" and not use.is_int8:
        return Requests()
    persistent = _multipliers(weights.shape[0])
    if not use.is_cmsis_nn:
        return Requests(persistent, use.unpacked)
    window = cmsis_nn.Window.of(use.operator, use.operand(0).shape, weights.shape, use.output.shape)
    return Requests(persistent, _wanted(cmsis_nn.convolution(window, use.build.vectors)))


def _depthwise_conv_2d(use: _Use) -> Requests:
    weights = use.operand(1)
    if use.build.kernels == "cmsis-nn" and not use.is_int8:
        return Requests()
    persistent = _multipliers(weights.shape[3])
    if not use.is_cmsis_nn:
        return Requests(persistent, use.unpacked)
    window = cmsis_nn.Window.of(use.operator, use.operand(0).shape, weights.shape, use.output.shape)
    scratch = cmsis_nn.depthwise_convolution_of_four_bits if weights.dtype == INT4 else cmsis_nn.depthwise_convolution
    return Requests(persistent, _wanted(scratch(window, use.build.vectors)))


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
        return Requests(persistent, use.unpacked)
    if weights.dtype == INT4:
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


def _cumsum(use: _Use) -> Requests:
    return Requests([4 * 9] if use.is_int8 else [])  # multipliers, shifts and offsets


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
    "CUMSUM": _cumsum,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "MEAN": _mean_or_sum,
    "MIRROR_PAD": _mirror_pad,
    "REDUCE_ALL": _extreme,
    "REDUCE_MAX": _extreme,
    "REDUCE_MIN": _extreme,
    "SUM": _mean_or_sum,
    "SVDF": _svdf,
    "TRANSPOSE_CONV": _transpose_conv,
}
