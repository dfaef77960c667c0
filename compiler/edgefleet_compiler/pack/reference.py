"""The reference sketch: histograms of the calibration set's features, over bins that the set itself suggests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.alignment import AlignedRunner
from edgefleet_compiler.data import DataSet
from edgefleet_contract import features, sketches
from edgefleet_contract.manifest import TensorSpec
from edgefleet_contract.sketches import Extraction, FeatureReference, Reference

_MOST_BINS = 10
_CASES_PER_BIN = 5  # the expected count below which the chi-squared approximation is poor (Cochran 1954)


def reference_sketch(data: DataSet, runner: AlignedRunner, inputs: Sequence[TensorSpec]) -> Reference:
    """What the calibration set looks like, by the features that devices will sketch.

    Args:
        data: The calibration set.
        runner: Knows the artifact's axes.
        inputs: Of the artifact.

    Raises:
        DataMalformed: A case that cannot be used.
    """
    extractions = [features.plan(tensor.name, tuple(tensor.shape), tensor.axes) for tensor in inputs]
    rows = [_features_of(extractions, runner.arrange(sample)[: len(inputs)]) for sample in data.samples()]
    columns = np.array(rows, np.float64).T
    names = [name for extraction in extractions for name in features.names(extraction)]
    return Reference(
        v=sketches.VERSION,
        n=data.n,
        extractions=extractions,
        features=[_histogram(name, column) for name, column in zip(names, columns, strict=True)],
    )


def _features_of(extractions: Sequence[Extraction], values: Sequence[NDArray[np.generic]]) -> list[float]:
    return [
        feature
        for extraction, value in zip(extractions, values, strict=True)
        for feature in features.extract(extraction, value)  # type: ignore[arg-type]  # numpy's stubs are narrower
    ]


def _histogram(name: str, column: NDArray[np.float64]) -> FeatureReference:
    """Bins of about equal counts between the smallest and the largest value, and one beyond each end."""
    bins = int(np.clip(len(column) // _CASES_PER_BIN, 1, _MOST_BINS))
    inner = np.quantile(column, np.linspace(0, 1, bins + 1)[:-1])
    # The edge above the largest value: bin i holds the values with exactly i edges at or below them.
    edges = np.unique([*inner, np.nextafter(column.max(), np.inf)])
    places = np.searchsorted(edges, column, side="right")
    counts = np.bincount(places, minlength=len(edges) + 1)
    return FeatureReference(name, edges.tolist(), counts.tolist())
