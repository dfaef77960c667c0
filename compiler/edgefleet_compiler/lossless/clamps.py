"""The integers that an operator's fused activation lets pass."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgefleet_compiler.lowered.graph import Operator, Tensor

_REAL_BOUNDS: Final[dict[str, tuple[float | None, float | None]]] = {
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def clamp_of(operator: Operator, output: Tensor) -> tuple[int, int]:
    """The least and the largest int8 that ``operator`` writes, by its activation alone.

    Source: ``CalculateActivationRangeQuantized`` in TFLite's ``kernel_util.cc``.

    Args:
        operator: Perhaps with ``fused_activation_function``.
        output: The int8 tensor that it writes.
    """
    low, high = _REAL_BOUNDS.get(str(operator.attributes.get("fused_activation_function", "NONE")), (None, None))
    quantisation = output.quantisation
    if quantisation is None:
        return -128, 127
    scale, zero_point = quantisation.scale[0], int(quantisation.zero_point[0])
    return (
        -128 if low is None else max(-128, zero_point + _steps(low, scale)),
        127 if high is None else min(127, zero_point + _steps(high, scale)),
    )


def _steps(real: float, scale: np.float32) -> int:
    """A real in steps of the scale: float32, rounded half away from zero."""
    steps = np.float32(real) / scale
    return int(np.copysign(np.floor(np.abs(steps) + np.float32(0.5)), steps))
