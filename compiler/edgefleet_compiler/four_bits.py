"""Integers of 4 bits, -8 to 7: one to a byte in memory, two to a byte in files."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

INT4: Final[np.dtype[Any]] = np.dtype(ml_dtypes.int4)
UINT4: Final[np.dtype[Any]] = np.dtype(ml_dtypes.uint4)
"""0 to 15: the numbers of a palette."""


def packed(integers: NDArray[Any]) -> NDArray[np.uint8]:
    """Two integers to a byte, the first in the low bits, as ONNX and TFLite store them; the last may stand alone.

    Args:
        integers: ``INT4``, any shape, taken in C order.
    """
    halves = integers.astype(np.int8).astype(np.uint8).reshape(-1) & np.uint8(0xF)
    if halves.size % 2:
        halves = np.append(halves, np.uint8(0))
    joined: NDArray[np.uint8] = halves[::2] | (halves[1::2] << np.uint8(4))
    return joined


def unpacked(content: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[Any]:
    """The integers of a file's bytes.

    Args:
        content: As ``packed`` gives them.
        shape: Of the result.
    """
    halves = np.stack([content & 0xF, content >> 4], axis=-1).reshape(-1)[: prod(shape)]
    signed = ((halves ^ 8).astype(np.int8) - 8).astype(INT4)
    return signed.reshape(shape)


def stored_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """How many bytes elements take in a file."""
    count = prod(shape)
    return (count + 1) // 2 if dtype in (INT4, UINT4) else count * dtype.itemsize
