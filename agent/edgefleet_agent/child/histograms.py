"""Histograms of the inputs of a window, over the bins of the bundle's reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edgefleet_contract import features, sketches
from edgefleet_contract.canonical import sha256
from edgefleet_contract.errors import BundleMalformed
from edgefleet_contract.manifest import Manifest
from edgefleet_contract.sketches import Sketch


class Histograms:
    """Counts the features of inputs, and how much each sample repeats the one before.

    Args:
        reference: Bytes of the bundle's reference sketch.
        manifest: Of the bundle.

    Raises:
        BundleMalformed: The reference does not fit the manifest's inputs.
    """

    def __init__(self, reference: bytes, manifest: Manifest) -> None:
        self._reference = sketches.decode_reference(reference)
        self._sha256 = sha256(reference)
        order = [spec.name for spec in manifest.inputs]
        strangers = {extraction.input for extraction in self._reference.extractions} - set(order)
        if strangers:
            raise BundleMalformed(f"The reference sketch speaks of the inputs {sorted(strangers)}", expected=str(order))
        self._columns = [order.index(extraction.input) for extraction in self._reference.extractions]
        self._reset()

    def add(self, case: Sequence[NDArray[np.generic]]) -> None:
        """Count one sample: a row of real values of each input, in the manifest's order."""
        values = [
            value
            for extraction, column in zip(self._reference.extractions, self._columns, strict=True)
            for value in features.extract(extraction, cast("features.Array", case[column]))
        ]
        for counts, feature, value in zip(self._counts, self._reference.features, values, strict=True):
            counts[sketches.bin_of(feature, value)] += 1
        self._correlation.add(np.nan_to_num(np.array(values, np.float64), posinf=0.0, neginf=0.0))
        self._n += 1

    def take(self) -> Sketch | None:
        """The sketch so far, and begin anew; None when there were no samples."""
        if not self._n:
            return None
        sketch = Sketch(self._sha256, self._n, self._correlation.median(), self._counts)
        self._reset()
        return sketch

    def _reset(self) -> None:
        self._n = 0
        self._counts = [[0] * len(feature.counts) for feature in self._reference.features]
        self._correlation = _LagOne(len(self._reference.features))


class _LagOne:
    """Lag-1 autocorrelation of each feature, from running sums.

    The first sample is subtracted from all, which changes no correlation and keeps the sums from cancelling.
    """

    def __init__(self, count: int) -> None:
        self._n = 0
        self._first = self._previous = np.zeros(count)
        self._sum, self._squares, self._products = np.zeros(count), np.zeros(count), np.zeros(count)

    def add(self, values: NDArray[np.float64]) -> None:
        if self._n == 0:
            self._first = values
        shifted = values - self._first
        if self._n:
            self._products += shifted * self._previous
        self._sum += shifted
        self._squares += shifted * shifted
        self._previous = shifted
        self._n += 1

    def median(self) -> float:
        """The median over the features that vary; 0 where none does."""
        mean = self._sum / self._n
        variance = self._squares / self._n - mean * mean
        varies = variance > 1e-12 * (self._squares / self._n + 1e-300)
        if self._n < 3 or not varies.any():
            return 0.0
        covariance = self._products / (self._n - 1) - mean * mean
        return float(np.median(np.clip(covariance[varies] / variance[varies], -1.0, 1.0)))
