"""The element types beside float32 that TFLite's kernels compute with as plain numbers, operator by operator.

To TFLite int8 and uint8 stand for reals: an ADD of two int8 tensors without scale and zero point is an error at best,
and a wrong result or an abort at worst. So only operators that move elements take them plain. Source: the type switches
of LiteRT's ``tflite/kernels/*.cc``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor

_NONE: Final[frozenset[str]] = frozenset()
_BOOL: Final = frozenset({"bool"})
_INT32: Final = frozenset({"int32"})
_INTEGERS: Final = frozenset({"int32", "int64"})
_ALL: Final = frozenset({"bool", "int8", "uint8", "int16", "int32", "int64"})

_TYPES: Final[dict[str, frozenset[str]]] = {
    "ABS": _INT32,
    "ADD": _INTEGERS,
    "ARG_MAX": _INT32 | _BOOL,
    "ARG_MIN": _INT32 | _BOOL,
    "BROADCAST_TO": _ALL,
    "CAST": _ALL,
    "CONCATENATION": _ALL,
    "CUMSUM": _INTEGERS,
    "DEPTH_TO_SPACE": _INTEGERS,
    "DEQUANTIZE": frozenset({"float16"}),
    "DIV": _INT32,
    "EQUAL": _INTEGERS | _BOOL,
    "EXPAND_DIMS": _ALL,
    "FLOOR_DIV": _INT32,
    "FLOOR_MOD": _INTEGERS,
    "GATHER": _ALL,
    "GATHER_ND": _ALL,
    "GREATER": _INTEGERS,
    "GREATER_EQUAL": _INTEGERS,
    "LESS": _INTEGERS,
    "LESS_EQUAL": _INTEGERS,
    "LOGICAL_AND": _BOOL,
    "LOGICAL_NOT": _BOOL,
    "LOGICAL_OR": _BOOL,
    "MAXIMUM": _INTEGERS,
    "MEAN": _INTEGERS,
    "MINIMUM": _INTEGERS,
    "MIRROR_PAD": _INTEGERS,
    "MUL": _INTEGERS,
    "NEG": _INTEGERS,
    "NOT_EQUAL": _INTEGERS | _BOOL,
    "ONE_HOT": _INTEGERS,
    "PACK": _ALL,
    "PAD": _ALL,
    "PADV2": _ALL,
    "POW": _INT32,
    "REDUCE_ALL": _BOOL,
    "REDUCE_ANY": _BOOL,
    "REDUCE_MAX": _INTEGERS,
    "REDUCE_MIN": _INTEGERS,
    "REDUCE_PROD": _INTEGERS,
    "RESHAPE": _ALL,
    "REVERSE_V2": _ALL,
    "SCATTER_ND": _INTEGERS,
    "SELECT": _ALL,
    "SELECT_V2": _ALL,
    "SIGN": _INT32,
    "SLICE": _ALL,
    "SPACE_TO_DEPTH": _INTEGERS,
    "SPLIT": _ALL,
    "SPLIT_V": _ALL,
    "SQUARED_DIFFERENCE": _INT32,
    "SQUEEZE": _ALL,
    "STRIDED_SLICE": _ALL,
    "SUB": _INTEGERS,
    "SUM": _INTEGERS,
    "TILE": _ALL,
    "TOPK_V2": _INTEGERS,
    "TRANSPOSE": _ALL,
    "UNPACK": _ALL,
}
# Operators whose first input is a condition, an axis or a shape.
_OPERAND: Final[dict[str, int]] = {"SELECT": 1, "SELECT_V2": 1, "SPLIT": 1, "TRANSPOSE_CONV": 2}


def types_of(kind: str) -> frozenset[str]:
    """The element types, by numpy's names, that an operator takes plain beside float32."""
    return _TYPES.get(kind, _NONE)


def why_no_kernel(operator: Operator, graph: LoweredGraph) -> str | None:
    """Why no kernel computes an operator on its element type; None where one does.

    Args:
        operator: An operator of ``graph``.
        graph: For the operator's tensors.
    """
    position = _OPERAND.get(operator.kind, 0)
    name = operator.inputs[position] if position < len(operator.inputs) else None
    if name is None or _is_taken(graph.tensors[name], operator.kind):
        return None
    return f"TFLite has no {operator.kind} on plain elements of type {graph.tensors[name].dtype}"


def _is_taken(tensor: Tensor, kind: str) -> bool:
    return tensor.quantisation is not None or tensor.dtype == np.float32 or tensor.dtype.name in types_of(kind)
