"""What each channel of an activation can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lossless.weighted import Integers

NEAR: Final = 1 / 64
"""Of a step: further from the real result no kernel gets before it rounds, be it none that is claimed."""


@dataclass(frozen=True)
class Interval:
    """The least and the largest integer of each channel, int64, shape (channels,)."""

    low: Integers
    high: Integers

    @property
    def constant(self) -> NDArray[np.bool_]:
        """The channels that always hold one value."""
        return np.asarray(self.low == self.high)

    def clipped(self, low: int, high: int) -> Interval:
        """What a clamp leaves of it."""
        return Interval(np.clip(self.low, low, high), np.clip(self.high, low, high))
