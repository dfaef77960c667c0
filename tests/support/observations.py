"""What calibration sees of numbers, without a model that gives them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.calibration.histogram import GrowingHistogram
from edgefleet_compiler.quantise.calibration.observe import Observation


def seen(*cases: NDArray[np.floating]) -> Observation:
    """An observation of cases of an activation with one channel."""
    arrays = [case.astype(np.float32) for case in cases]
    histogram = GrowingHistogram()
    for array in arrays:
        histogram.add(array, float(np.abs(array).max()))
    values = np.concatenate(arrays)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    reaches = sorted((float(np.abs(array).max()) for array in arrays), reverse=True)
    return Observation(
        low=low,
        high=high,
        channel_lows=np.array([low], np.float32),
        channel_highs=np.array([high], np.float32),
        channel_powers=np.square(values, dtype=np.float64).mean(keepdims=True),
        reach=reaches[0],
        reach_case=int(np.argmax([np.abs(array).max() for array in arrays])),
        second_reach=(*reaches, 0.0)[1],
        median_reach=float(np.median(reaches)),
        histogram=histogram.result(),
    )
