"""Where the windows of convolutions and pools lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgefleet_compiler.emulate.site import Site
from edgefleet_compiler.lowered.padding import needed_after, reach


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of an image.

    Attributes:
        kernel: Elements of a window.
        stride: From one window to the next.
        dilation: From one element of a window to the next.
        before: Elements padded in front.
        after: Elements padded behind.
        outputs: Windows.
    """

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    outputs: int

    def tap(self, position: int) -> slice:
        """What one element of all windows sees of the padded image."""
        first = position * self.dilation
        return slice(first, first + (self.outputs - 1) * self.stride + 1, self.stride)


@dataclass(frozen=True)
class Windows:
    """Windows over images of shape (n, height, width, channels)."""

    rows: Axis
    columns: Axis

    def padded(self, images: NDArray[Any], value: int) -> NDArray[Any]:
        """The images with ``value`` around them."""
        rows, columns = (self.rows.before, self.rows.after), (self.columns.before, self.columns.after)
        if not any((*rows, *columns)):
            return images
        return np.pad(images, ((0, 0), rows, columns, (0, 0)), constant_values=value)

    def taps(self, padded: NDArray[Any]) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
        """For each element of a window, row by row: its place, and what it sees, (n, rows, columns, channels)."""
        for row in range(self.rows.kernel):
            for column in range(self.columns.kernel):
                yield (row, column), padded[:, self.rows.tap(row), self.columns.tap(column)]

    def patches(self, padded: NDArray[Any]) -> NDArray[Any]:
        """What each window sees: a view, (n, rows, columns, channels, kernel rows, kernel columns)."""
        rows, columns = self.rows, self.columns
        spans = (reach(rows.kernel, rows.dilation), reach(columns.kernel, columns.dilation))
        view = sliding_window_view(padded, spans, axis=(1, 2))
        view = view[:, :: rows.stride, :: columns.stride][:, : rows.outputs, : columns.outputs]
        return view[..., :: rows.dilation, :: columns.dilation]


def windows_of(site: Site, kernel: tuple[int, int]) -> Windows:
    """The windows of a convolution or pool.

    Args:
        site: Whose first input and whose output are images.
        kernel: Rows and columns of a window.
    """
    return Windows(_axis(site, 1, kernel[0], "h"), _axis(site, 2, kernel[1], "w"))


def _axis(site: Site, axis: int, kernel: int, letter: str) -> Axis:
    operator = site.operator
    extent, outputs = site.input(0).shape[axis], site.output.shape[axis]
    stride = operator.integer(f"stride_{letter}", 1)
    dilation = max(operator.integer(f"dilation_{letter}_factor", 1), 1)
    window = reach(kernel, dilation)
    before = 0
    if operator.attributes.get("padding", "SAME") == "SAME":
        before = max((outputs - 1) * stride + window - extent, 0) // 2
    return Axis(kernel, stride, dilation, before, needed_after(extent, window, stride, before, outputs), outputs)
