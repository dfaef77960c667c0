"""The cases that a child trains on: batches in an order that seed and epoch decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.finetune.messages import TARGETS

Array = NDArray[np.generic]
Indices = NDArray[np.int64]

_FURTHEST = 8  # images are shifted by at most this part of their extent


class Cases:
    """Arrays of a folder, read as they are needed.

    Args:
        folder: Holds ``0.npy``, ``1.npy`` and so on for the inputs, and ``TARGETS`` where there are any.
    """

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("[0-9]*.npy"), key=lambda path: int(path.stem))
        self._inputs = [np.load(path, mmap_mode="r", allow_pickle=False) for path in files]
        self._targets = None
        if (folder / TARGETS).exists():
            self._targets = np.load(folder / TARGETS, allow_pickle=False)

    def __len__(self) -> int:
        """The number of cases."""
        return len(self._inputs[0])

    def inputs(self, indices: Indices) -> list[Array]:
        """The inputs of some cases."""
        return [np.asarray(array[indices]) for array in self._inputs]

    def targets(self, indices: Indices) -> Array:
        """The labels or targets of some cases; zeros where there are none."""
        return np.zeros(len(indices), np.float32) if self._targets is None else self._targets[indices]

    def batches(self, size: int, order: Indices | None = None) -> Iterator[Indices]:
        """Indices of batches, all cases once; in the order given, or in that of the files."""
        order = np.arange(len(self)) if order is None else order
        for start in range(0, len(order), size):
            yield order[start : start + size]


def shuffled(count: int, seed: int, epoch: int) -> Indices:
    """The order of the cases of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def flipped_and_cropped(images: Array, axes: str, generator: np.random.Generator) -> Array:
    """Images mirrored at random, and shifted by up to an eighth; what comes into sight mirrors the border.

    Args:
        images: A batch.
        axes: "NHWC" or "NCHW".
        generator: Draws for each image on its own.
    """
    last = images if axes == "NHWC" else np.moveaxis(images, 1, -1)
    count, height, width = last.shape[:3]
    up, left = height // _FURTHEST, width // _FURTHEST
    bordered = np.pad(last, [(0, 0), (up, up), (left, left), (0, 0)], mode="reflect")
    rows = generator.integers(0, 2 * up + 1, count)[:, None] + np.arange(height)
    columns = generator.integers(0, 2 * left + 1, count)[:, None] + np.arange(width)
    mirrored = generator.random(count) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    moved = bordered[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved if axes == "NHWC" else np.moveaxis(moved, -1, 1)
