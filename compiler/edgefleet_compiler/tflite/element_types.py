"""TFLite's tensor element types as numpy dtypes."""

from __future__ import annotations

from typing import Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgefleet_compiler.four_bits import INT4

_DTYPES: Final[dict[int, np.dtype[np.generic]]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.FLOAT64: np.dtype(np.float64),
    schema.TensorType.INT4: INT4,
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.UINT16: np.dtype(np.uint16),
    schema.TensorType.UINT32: np.dtype(np.uint32),
    schema.TensorType.UINT64: np.dtype(np.uint64),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}
_NUMBERS: Final = {dtype: number for number, dtype in _DTYPES.items()}
_NAMES: Final[dict[int, str]] = {
    number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")
}


def dtype_of(number: int) -> np.dtype[np.generic] | None:
    """The dtype of a ``TensorType``; None for those the lowered graph does not hold (strings, complex numbers)."""
    return _DTYPES.get(number)


def number_of(dtype: np.dtype[np.generic]) -> int:
    """The ``TensorType`` of a dtype.

    Raises:
        KeyError: TFLite has no such element type.
    """
    return _NUMBERS[dtype]


def type_name(number: int) -> str:
    """The schema's name of a ``TensorType``, or the number itself where the schema knows none."""
    return _NAMES.get(number, f"type {number}")
