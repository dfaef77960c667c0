"""Real values to stored integers and back, at the inputs and outputs of quantised models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AffineIo:
    """Parameters of one input or output: real = scale * (stored - zero_point)."""

    scale: float
    zero_point: int
    dtype: np.dtype[np.generic]

    def store(self, real: NDArray[np.generic]) -> NDArray[np.generic]:
        """Real values as stored integers: rounded to nearest, ties to even, and saturated."""
        limits = np.iinfo(self.dtype)  # type: ignore[type-var]  # integer by construction
        steps = np.rint(np.asarray(real, np.float32) / np.float32(self.scale)) + self.zero_point
        stored: NDArray[np.generic] = np.clip(steps, limits.min, limits.max).astype(self.dtype)
        return stored

    def load(self, stored: NDArray[np.generic]) -> NDArray[np.generic]:
        """Stored integers as real values."""
        return (stored.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)
