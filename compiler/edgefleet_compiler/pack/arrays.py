"""Arrays of cases, and ``.npz`` files with equal bytes for equal arrays."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray


def npz_bytes(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The arrays as a compressed ``.npz``; numpy stamps its entries with a fixed time, so that no clock enters."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def stacked(cases: Iterable[NDArray[np.generic]]) -> NDArray[np.generic]:
    """One array whose first axis counts the cases: it takes the place of a batch of 1."""
    return np.stack([case[0] if case.shape[:1] == (1,) else case for case in cases])
