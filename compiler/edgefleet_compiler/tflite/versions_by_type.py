"""Operators whose version follows from the element type of their first input alone.

Source: LiteRT's ``tools/versioning/op_version.cc``. Types that are not listed are version 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

_INT8: Final[np.dtype[np.generic]] = np.dtype(np.int8)
_INT16: Final[np.dtype[np.generic]] = np.dtype(np.int16)
_INT32: Final[np.dtype[np.generic]] = np.dtype(np.int32)
_UINT8: Final[np.dtype[np.generic]] = np.dtype(np.uint8)
_UINT32: Final[np.dtype[np.generic]] = np.dtype(np.uint32)
_FLOAT32: Final[np.dtype[np.generic]] = np.dtype(np.float32)
_BOOL: Final[np.dtype[np.generic]] = np.dtype(np.bool_)

BY_TYPE: Final[dict[str, Mapping[np.dtype[np.generic], int]]] = {
    "ABS": {_INT8: 2, _INT16: 3, _INT32: 5},
    "ARG_MAX": {_INT8: 2, _BOOL: 3},
    "ARG_MIN": {_INT8: 2, _BOOL: 3},
    "AVERAGE_POOL_2D": {_INT8: 2, _INT16: 3},
    "BATCH_MATMUL": {_INT8: 2, _INT16: 3},
    "CONCATENATION": {_INT8: 2, _INT16: 3, _UINT32: 4},
    "DEPTH_TO_SPACE": {_INT8: 2},
    "EQUAL": {_INT8: 2, _INT16: 4},
    "EXP": {_INT8: 2, _INT16: 2},
    "FLOOR_DIV": {_FLOAT32: 2, _INT8: 3, _INT16: 3},
    "FLOOR_MOD": {_INT8: 2, _INT16: 2},
    "GATHER_ND": {_INT16: 3, _BOOL: 5},
    "GELU": {_INT8: 2, _UINT8: 2},
    "GREATER": {_INT8: 2},
    "GREATER_EQUAL": {_INT8: 2, _INT16: 3},
    "LEAKY_RELU": {_INT16: 2},
    "LESS": {_INT8: 2, _INT16: 3},
    "LESS_EQUAL": {_INT8: 2},
    "LOG": {_INT8: 2, _INT16: 2},
    "LOGISTIC": {_INT8: 2, _INT16: 3},
    "LOG_SOFTMAX": {_INT8: 2},
    "MAX_POOL_2D": {_INT8: 2, _INT16: 3},
    "MEAN": {_INT8: 2, _INT16: 3},
    "MIRROR_PAD": {_INT8: 2, _INT16: 3},
    "NOT_EQUAL": {_INT8: 2},
    "PACK": {_INT8: 2, _INT16: 3, _UINT32: 4},
    "REDUCE_MAX": {_INT8: 2, _INT16: 3},
    "REDUCE_MIN": {_INT8: 2, _INT16: 3},
    "REDUCE_PROD": {_INT8: 2, _INT16: 2},
    "RELU": {_INT8: 2, _UINT8: 2, _INT16: 3},
    "RELU6": {_INT8: 2, _INT16: 3},
    "REVERSE_V2": {_BOOL: 2, _INT8: 3},
    "RSQRT": {_INT8: 2, _INT16: 3},
    "SIGN": {_INT32: 2},
    "SOFTMAX": {_INT8: 2, _INT16: 3},
    "SPACE_TO_DEPTH": {_INT8: 2},
    "SPLIT_V": {_INT8: 2},
    "SQUARED_DIFFERENCE": {_INT8: 2},
    "SUM": {_INT8: 2},
    "TANH": {_INT8: 2, _INT16: 3},
    "TILE": {_INT8: 3},
    "TOPK_V2": {_INT8: 2, _INT16: 3},
    "UNPACK": {_INT8: 2, _UINT8: 2, _BOOL: 3, _INT16: 4},
}
