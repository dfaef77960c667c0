"""Which taps of a kernel lie inside the image, for each place where a window can stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lowered.padding import reach

Taps = NDArray[np.bool_]


def taps_inside(*, extent: int, outputs: int, kernel: int, stride: int, dilation: int, padding: str) -> Taps | None:
    """The different sets of taps that meet the image along one axis.

    Taps outside add nothing: they hold the zero point, whose real value is 0.

    Args:
        extent: Elements of the image along the axis.
        outputs: Windows along the axis, as the graph has them.
        kernel: Taps of the kernel along the axis.
        stride: Elements from window to window.
        dilation: Elements from tap to tap.
        padding: ``SAME`` or ``VALID``.

    Returns:
        Shape (sets, kernel), each set once; None where the graph's number of windows is not what the padding gives.
    """
    window = reach(kernel, dilation)
    expected = -(-extent // stride) if padding == "SAME" else -(-(extent - window + 1) // stride)
    if outputs != expected:
        return None
    before = max((outputs - 1) * stride + window - extent, 0) // 2 if padding == "SAME" else 0
    places = np.arange(outputs)[:, None] * stride - before + np.arange(kernel) * dilation
    return np.unique((places >= 0) & (places < extent), axis=0)
