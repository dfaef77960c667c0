"""Features of an input: at most 64 numbers that a histogram can follow, whatever the input's size.

Small inputs are their own features; an image becomes the means of a grid, any other tensor, a batch of several images
among them, the means of equal segments.
Compiler and inference child call this one code, so that reference and sketch speak of the same numbers. The array is
passed in by them and only its methods are used: this module imports no numpy, as the agent's parent must not either.
"""

from __future__ import annotations

from typing import Protocol

from edgefleet_contract.sketches import Extraction

MAX_FEATURES = 64
_GRID = 4


class Array(Protocol):
    """What is used of a numpy array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    def __getitem__(self, key: object) -> Array:
        """A part."""

    def reshape(self, *shape: int) -> Array:
        """The same values in another shape."""

    def transpose(self, *axes: int) -> Array:
        """The axes in another order."""

    def mean(self, axis: int) -> Array:
        """The means along an axis."""

    def tolist(self) -> list[float]:
        """The values as Python floats."""


def plan(name: str, shape: tuple[int, ...], axes: str) -> Extraction:
    """How to take features from an input.

    Args:
        name: The input's name.
        shape: With the batch.
        axes: As in the manifest: "NHWC", "NCHW" or "".
    """
    elements = 1
    for length in shape:
        elements *= length
    if elements <= MAX_FEATURES:
        return Extraction(name, "elements", [elements], axes)
    if axes in ("NHWC", "NCHW"):
        height, width, channels = (shape[axes.index(letter)] for letter in "HWC")
        single = shape[axes.index("N")] == 1
        if single and channels * _GRID * _GRID <= MAX_FEATURES and min(height, width) >= _GRID:
            return Extraction(name, "grid", [_GRID, _GRID, channels], axes)
    return Extraction(name, "segments", [MAX_FEATURES], axes)


def names(extraction: Extraction) -> list[str]:
    """Names of the features for people, in the order of :func:`extract`."""
    base, parts = extraction.input, extraction.parts
    if extraction.kind == "elements":
        return [f"{base}[{index}]" for index in range(parts[0])]
    if extraction.kind == "grid":
        rows, columns, channels = parts
        return [
            f"{base} cell {row},{column} channel {channel}"
            for channel in range(channels)
            for row in range(rows)
            for column in range(columns)
        ]
    return [f"{base} part {index}" for index in range(parts[0])]


def extract(extraction: Extraction, values: Array) -> list[float]:
    """The features of one sample.

    Args:
        extraction: As planned for this input.
        values: Real (dequantised) values, with or without the batch of 1, in the input's axis order.
    """
    if extraction.kind == "elements":
        return [float(value) for value in values.reshape(-1).tolist()]
    if extraction.kind == "grid":
        return _grid_means(extraction, values)
    flat, count = values.reshape(-1), extraction.parts[0]
    total = flat.shape[0]
    parts = [flat[index * total // count : (index + 1) * total // count] for index in range(count)]
    return [mean for part in parts for mean in part.reshape(1, -1).mean(1).tolist()]


def _grid_means(extraction: Extraction, values: Array) -> list[float]:
    rows, columns, channels = extraction.parts
    image = values.reshape(*values.shape[-3:])
    planes = image if extraction.axes == "NCHW" else image.transpose(2, 0, 1)
    height, width = planes.shape[1:]
    if height % rows == 0 and width % columns == 0:  # all cells at once, the means of the very same rows
        split = planes.reshape(channels, rows, height // rows, columns, width // columns)
        return split.transpose(0, 1, 3, 2, 4).reshape(channels * rows * columns, -1).mean(1).tolist()
    cells = [
        planes[
            :,
            row * height // rows : (row + 1) * height // rows,
            column * width // columns : (column + 1) * width // columns,
        ]
        for row in range(rows)
        for column in range(columns)
    ]
    means = [cell.reshape(channels, -1).mean(1).tolist() for cell in cells]
    return [cell[channel] for channel in range(channels) for cell in means]
