"""The version that each operator of a file declares: the least that its types and features need.

A runtime refuses a file whose operators declare versions newer than it knows, so a version too high costs devices with
older runtimes. The rules are those of LiteRT's ``tools/versioning/op_version.cc``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.tflite.options import attribute
from edgefleet_compiler.tflite.versions_by_type import BY_TYPE

_INT8: Final[np.dtype[np.generic]] = np.dtype(np.int8)
_INT16: Final[np.dtype[np.generic]] = np.dtype(np.int16)
_INT32: Final[np.dtype[np.generic]] = np.dtype(np.int32)
_INT64: Final[np.dtype[np.generic]] = np.dtype(np.int64)
_UINT8: Final[np.dtype[np.generic]] = np.dtype(np.uint8)
_UINT32: Final[np.dtype[np.generic]] = np.dtype(np.uint32)
_FLOAT16: Final[np.dtype[np.generic]] = np.dtype(np.float16)
_FLOAT32: Final[np.dtype[np.generic]] = np.dtype(np.float32)
_BOOL: Final[np.dtype[np.generic]] = np.dtype(np.bool_)


@dataclass(frozen=True)
class _Use:
    """What a rule looks at: an operator with its tensors."""

    operator: Operator
    inputs: list[Tensor]
    output: Tensor

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self.inputs[0].dtype

    @property
    def rank(self) -> int:
        return len(self.inputs[0].shape)

    def option(self, name: str) -> bool | int | float | str:
        value: bool | int | float | str = attribute(self.operator, name)
        return value


def operator_version(operator: Operator, graph: LoweredGraph) -> int:
    """The least version of ``operator`` that its types, ranks and attributes need.

    Operators that neither this module's rules nor ``versions_by_type`` know are version 1, which every runtime takes.

    Args:
        operator: An operator of ``graph``.
        graph: For the operator's tensors.

    Raises:
        ValueError: The operator lacks an operand, or an operand an axis, that its kind must have.
    """
    inputs = [graph.tensors[name] for name in operator.inputs if name is not None]
    if not inputs:
        return 1
    if operator.kind in _RULES:
        try:
            return _RULES[operator.kind](_Use(operator, inputs, graph.tensors[operator.outputs[0]]))
        except IndexError as error:
            shapes = [tensor.shape for tensor in inputs]
            raise ValueError(f"{operator.kind} {operator.outputs[0]!r} does not take operands of {shapes}") from error
    return BY_TYPE.get(operator.kind, {}).get(inputs[0].dtype, 1)


def _conv_2d(use: _Use) -> int:
    weights = use.inputs[1]
    if weights.shape[3] != use.inputs[0].shape[3]:
        return 6  # grouped
    if use.dtype == _INT16:
        return 4
    if weights.dtype == INT4:
        return 7
    if weights.dtype == _INT8:
        return 3 if use.dtype == _INT8 else _hybrid(weights, per_tensor=2, per_channel=5)
    return 1


def _depthwise_conv_2d(use: _Use) -> int:
    weights = use.inputs[1]
    if use.dtype == _INT16:
        return 5
    if weights.dtype == INT4:
        return 7
    if weights.dtype == _INT8:
        return 3 if use.dtype == _INT8 else _hybrid(weights, per_tensor=4, per_channel=6)
    dilated = use.option("dilation_w_factor") != 1 or use.option("dilation_h_factor") != 1
    return 2 if dilated else 1


def _fully_connected(use: _Use) -> int:
    weights = use.inputs[1]
    if use.dtype == _INT16:
        return 7
    if use.dtype == _FLOAT32 and weights.dtype == _INT8 and _is_per_channel(weights):
        return 12
    if weights.dtype == INT4:
        return 10
    if len(use.operator.inputs) == 2 or use.option("keep_num_dims"):
        return 6 if len(use.operator.inputs) == 2 else 5
    if weights.dtype == _INT8:
        hybrid = 9 if use.option("asymmetric_quantize_inputs") else 3
        return 4 if use.dtype == _INT8 else hybrid
    return 1 if use.option("weights_format") == "DEFAULT" else 2


def _hybrid(weights: Tensor, *, per_tensor: int, per_channel: int) -> int:
    return per_channel if _is_per_channel(weights) else per_tensor


def _is_per_channel(tensor: Tensor) -> bool:
    return tensor.quantisation is not None and tensor.quantisation.per_channel


def _add(use: _Use) -> int:
    if use.dtype == _INT16:
        if use.inputs[0].quantisation is None:
            return 5
        return 1 if use.option("pot_scale_int16") else 3
    return {_INT8: 2, _INT64: 4}.get(use.dtype, 1)


def _sub(use: _Use) -> int:
    if use.dtype == _INT16:
        return 1 if use.option("pot_scale_int16") else 5
    if use.dtype == _INT64:
        return 4
    if _broadcasts_beyond_four(use.inputs):
        return 3
    return 2 if use.dtype == _INT8 else 1


def _mul(use: _Use) -> int:
    parameters = [tensor.quantisation for tensor in (*use.inputs[:2], use.output)]
    if use.dtype == _UINT32 or (use.dtype == _INT16 and parameters[0] is None):
        return 7
    if use.dtype in (_INT64, _INT16):
        return 5 if use.dtype == _INT64 else 4
    if None not in parameters:
        left, right, product = (float(each.scale[0]) for each in parameters if each is not None)
        if left * right / product >= 1:
            return 3
    return 2 if use.dtype == _INT8 else 1


def _maximum(use: _Use) -> int:
    if use.dtype == _INT16:
        return 4
    if _broadcasts_beyond_four(use.inputs):
        return 3
    return 2 if use.dtype == _INT8 else 1


def _broadcasts_beyond_four(inputs: list[Tensor]) -> bool:
    return inputs[0].shape != inputs[1].shape and max(len(tensor.shape) for tensor in inputs) > 4


def _div(use: _Use) -> int:
    return 2 if _broadcasts_beyond_four(use.inputs) else 1


def _pad(use: _Use) -> int:
    if use.dtype == _BOOL:
        return 5
    if use.rank > 4:
        return 4
    return {_INT8: 2, _INT16: 3}.get(use.dtype, 1)


def _transpose(use: _Use) -> int:
    if use.rank > 5:
        return 6
    if use.dtype == _INT16:
        return 5
    if use.rank > 4:
        return 4
    return {_INT8: 2, _BOOL: 3}.get(use.dtype, 1)


def _slice(use: _Use) -> int:
    if use.dtype == _UINT32:
        return 6
    if use.rank > 4:
        return 5
    return {_INT8: 2, _INT16: 4}.get(use.dtype, 1)


def _strided_slice(use: _Use) -> int:
    if use.option("offset"):
        return 8
    if use.dtype == _UINT32:
        return 7
    if use.option("ellipsis_mask") or use.option("new_axis_mask"):
        return 6
    if use.rank > 4:
        return 4
    return {_INT8: 2, _BOOL: 3}.get(use.dtype, 1)


def _gather(use: _Use) -> int:
    if use.inputs[1].dtype == _INT16:
        return 6
    if use.option("batch_dims"):
        return 5
    return {_INT8: 2, _BOOL: 3, _INT16: 4}.get(use.dtype, 1)


def _resize(use: _Use) -> int:
    if use.dtype == _INT16:
        return 4
    nearest = use.operator.kind == "RESIZE_NEAREST_NEIGHBOR"
    if use.option("half_pixel_centers") or (nearest and use.option("align_corners")):
        return 3
    return 2 if use.dtype == _INT8 else 1


def _transpose_conv(use: _Use) -> int:
    if use.option("fused_activation_function") != "NONE":
        return 4
    if len(use.inputs) == 4:
        return 3  # with biases
    return 2 if use.inputs[1].dtype == _INT8 else 1


def _svdf(use: _Use) -> int:
    if use.dtype == _INT8:
        return 3
    if use.inputs[1].dtype == _INT8:
        return 4 if use.option("asymmetric_quantize_inputs") else 2
    return 1


def _split(use: _Use) -> int:
    return {_INT8: 2, _INT32: 3, _INT16: 4}.get(use.inputs[1].dtype, 1)  # inputs[0] is the axis


def _broadcast_to(use: _Use) -> int:
    return 3 if use.dtype in (_INT8, _INT16) else 2  # the number 1 was given up with an earlier operator


def _cast(use: _Use) -> int:
    types = {use.dtype, use.output.dtype}
    if types & {_FLOAT16, np.dtype(np.float64)}:
        return 5
    return 3 if _INT8 in types else 1


def _dequantize(use: _Use) -> int:
    if use.dtype == INT4:
        return 6
    if use.dtype == _INT8:
        return 5 if _is_per_channel(use.inputs[0]) else 2
    return {_INT16: 3, _FLOAT16: 3}.get(use.dtype, 1)


def _quantize(use: _Use) -> int:
    if _is_per_channel(use.output):
        return 3
    return 2 if use.output.dtype == _INT16 else 1


_RULES: Final[dict[str, Callable[[_Use], int]]] = {
    "ADD": _add,
    "BROADCAST_TO": _broadcast_to,
    "CAST": _cast,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "DEQUANTIZE": _dequantize,
    "DIV": _div,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "MAXIMUM": _maximum,
    "MINIMUM": _maximum,
    "MUL": _mul,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SLICE": _slice,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _sub,
    "SVDF": _svdf,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
}
