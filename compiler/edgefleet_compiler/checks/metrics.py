"""Quality metrics, each over all cases of a set: what the source model reaches, and what the artifact keeps of it."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.intervals import Interval, newcombe_paired, paired_bootstrap, wilson
from edgefleet_compiler.data import DataSet
from edgefleet_contract.errors import DataMalformed, UsageMalformed

Output = NDArray[np.generic]


@dataclass(frozen=True)
class Quality:
    """What a metric says of source and artifact.

    Attributes:
        baseline: Of the source model.
        compiled: Of the artifact.
        drop: The loss, a fraction; negative for a gain.
        ci95: Interval of ``drop``, both models measured on the same cases.
        interval: How the interval was found.
        chance: What guessing reaches; None where the metric has no such value.
    """

    baseline: float
    compiled: float
    drop: float
    ci95: Interval
    interval: str
    chance: float | None = None


class Metric(Protocol):
    """A metric that gathers cases one by one."""

    name: str

    def add(self, index: int, value: Output, baseline: Output, compiled: Output) -> None:
        """One case: its index, its first input, and the first output of both models."""

    def result(self, seed: int) -> Quality:
        """The quality over the cases so far, of which there is at least one."""


def choose_metric(name: str | None, data: DataSet) -> Metric:
    """The metric asked for; without a name, top1 where the set has integer labels, agreement where it has no ``y``.

    Raises:
        UsageMalformed: No such metric.
        DataMalformed: The metric needs labels that the set does not have, or ``y`` is none and no metric was named.
    """
    name = name or _metric_for(data)
    match name:
        case "top1":
            return _Top1(_labels(data, name))
        case "auc":
            return _Auc(_labels(data, name))
        case "mse":
            return _MeanSquaredError(data.targets)
        case "agreement":
            return _Agreement()
        case _ if ":" in name:
            return _UserMetric(name, data.targets)
    raise UsageMalformed(f"The metric is {name!r}", expected="top1, mse, auc, agreement or module:function")


def _metric_for(data: DataSet) -> str:
    if data.targets is None:
        return "agreement"
    if not data.has_class_labels:
        raise DataMalformed(
            f"The array 'y' of {str(data.path)!r} has dtype {str(data.targets.dtype)!r} and shape {data.targets.shape}",
            expected="one integer label a case, or a metric that says what else it is",
            remedy="Give --metric mse for targets in the form of the outputs; one-hot labels become integers with "
            "numpy.argmax(y, axis=1).",
        )
    return "top1"


def _labels(data: DataSet, metric: str) -> NDArray[np.int64]:
    if data.targets is None or not data.has_class_labels:
        raise DataMalformed(
            f"The metric {metric!r} needs integer labels, and {str(data.path)!r} has none",
            expected="an array 'y' with one integer a case",
        )
    return data.targets.astype(np.int64)


class _Top1:
    name = "top1"

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self._labels = labels
        self._classes = 0
        self._baseline: list[bool] = []
        self._compiled: list[bool] = []

    def add(self, index: int, value: Output, baseline: Output, compiled: Output) -> None:  # noqa: ARG002 - Metric
        label = self._labels[index]
        if not 0 <= label < baseline.size:
            raise DataMalformed(
                f"The label of case {index} is {label}",
                expected=f"0 to {baseline.size - 1}, as the model has outputs",
                remedy="If 'y' holds no labels but targets, give --metric mse.",
            )
        self._classes = baseline.size
        self._baseline.append(int(np.argmax(baseline)) == label)
        self._compiled.append(int(np.argmax(compiled)) == label)

    def result(self, seed: int) -> Quality:  # noqa: ARG002 - Metric; the interval is exact
        first, second = np.array(self._baseline), np.array(self._compiled)
        baseline, compiled = float(first.mean()), float(second.mean())
        interval = newcombe_paired(first, second)
        return Quality(baseline, compiled, baseline - compiled, interval, "Newcombe, paired", 1 / self._classes)


class _Agreement:
    """The share of cases with the same choice: the first of the largest elements, as ``top1`` takes it."""

    name = "agreement"

    def __init__(self) -> None:
        self._agreements: list[bool] = []

    def add(self, index: int, value: Output, baseline: Output, compiled: Output) -> None:  # noqa: ARG002 - Metric
        self._agreements.append(int(np.argmax(baseline)) == int(np.argmax(compiled)))

    def result(self, seed: int) -> Quality:  # noqa: ARG002 - Metric; the interval is exact
        agreed, n = sum(self._agreements), len(self._agreements)
        low, high = wilson(agreed, n)
        return Quality(1.0, agreed / n, 1 - agreed / n, (1 - high, 1 - low), "Wilson")


class _MeanSquaredError:
    """Against ``y``; without it against the input itself, as for an autoencoder. The drop is relative."""

    name = "mse"

    def __init__(self, targets: NDArray[np.generic] | None) -> None:
        self._targets = targets
        self._baseline: list[float] = []
        self._compiled: list[float] = []

    def add(self, index: int, value: Output, baseline: Output, compiled: Output) -> None:
        target = value if self._targets is None else self._targets[index]
        if np.size(target) != baseline.size:
            raise DataMalformed(
                f"The metric 'mse' compares outputs of {baseline.size} elements with {np.size(target)}",
                expected="an array 'y' of targets, of the outputs' shape",
            )
        self._baseline.append(_squared_error(baseline, target))
        self._compiled.append(_squared_error(compiled, target))

    def result(self, seed: int) -> Quality:
        first, second = np.array(self._baseline), np.array(self._compiled)

        def drop(cases: NDArray[np.intp]) -> float:
            reference = float(first[cases].mean())
            return (float(second[cases].mean()) - reference) / max(reference, np.finfo(np.float64).tiny)

        every = np.arange(len(first))
        interval = paired_bootstrap(drop, len(first), seed=seed)
        return Quality(float(first.mean()), float(second.mean()), drop(every), interval, "paired bootstrap")


class _Auc:
    """Area under the ROC curve.

    The score of class 1 is the second of two outputs, the only one, or the squared error of an autoencoder.
    """

    name = "auc"

    def __init__(self, labels: NDArray[np.int64]) -> None:
        if set(np.unique(labels)) != {0, 1}:
            raise DataMalformed(f"The labels are {sorted(set(labels.tolist()))[:8]}", expected="both 0 and 1 for 'auc'")
        self._labels = labels
        self._baseline: list[float] = []
        self._compiled: list[float] = []

    def add(self, index: int, value: Output, baseline: Output, compiled: Output) -> None:  # noqa: ARG002 - Metric
        self._baseline.append(_score(baseline, value))
        self._compiled.append(_score(compiled, value))

    def result(self, seed: int) -> Quality:
        labels = self._labels[: len(self._baseline)].astype(bool)
        first, second = np.array(self._baseline), np.array(self._compiled)

        def drop(cases: NDArray[np.intp]) -> float:
            return _area(first[cases], labels[cases]) - _area(second[cases], labels[cases])

        interval = paired_bootstrap(drop, len(first), seed=seed)
        baseline, compiled = _area(first, labels), _area(second, labels)
        return Quality(baseline, compiled, baseline - compiled, interval, "paired bootstrap", 0.5)


class _UserMetric:
    """``module:function`` of the user: ``function(outputs, targets) -> float``, larger is better."""

    def __init__(self, name: str, targets: NDArray[np.generic] | None) -> None:
        self.name = name
        self._function = _import_function(name)
        self._targets = targets
        self._baseline: list[Output] = []
        self._compiled: list[Output] = []

    def add(self, index: int, value: Output, baseline: Output, compiled: Output) -> None:  # noqa: ARG002 - Metric
        self._baseline.append(baseline)
        self._compiled.append(compiled)

    def result(self, seed: int) -> Quality:
        every = np.arange(len(self._baseline))
        baseline, compiled = self._value(self._baseline, every), self._value(self._compiled, every)

        def drop(cases: NDArray[np.intp]) -> float:
            return self._value(self._baseline, cases) - self._value(self._compiled, cases)

        interval = paired_bootstrap(drop, len(every), seed=seed)
        return Quality(baseline, compiled, baseline - compiled, interval, "paired bootstrap")

    def _value(self, outputs: Sequence[Output], cases: NDArray[np.intp]) -> float:
        stacked = np.concatenate([outputs[case] for case in cases])
        try:
            value = float(self._function(stacked, None if self._targets is None else self._targets[cases]))
        except Exception as cause:
            raise self._refused(f"raises {type(cause).__name__}: {cause}") from cause
        if not math.isfinite(value):
            raise self._refused(f"gives {value}")
        return value

    def _refused(self, what: str) -> UsageMalformed:
        return UsageMalformed(
            f"The metric {self.name!r} {what}",
            expected="function(outputs, targets) that returns a finite number, larger being better",
            remedy="outputs has one row a case; targets is the array 'y', or None without one.",
            metric=self.name,
        )


def _import_function(name: str) -> Callable[[Output, Output | None], float]:
    module, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as cause:  # importing runs the user's module, which may raise anything
        raise UsageMalformed(f"The metric {name!r} cannot be imported: {cause}", expected="module:function") from cause
    if not callable(found):
        raise UsageMalformed(f"The metric {name!r} is no function", expected="module:function")
    return found  # type: ignore[no-any-return]  # the user's own


def _squared_error(output: Output, target: Output) -> float:
    difference = output.reshape(-1).astype(np.float64) - np.asarray(target).reshape(-1).astype(np.float64)
    return float(np.square(difference).mean())


def _score(output: Output, value: Output) -> float:
    if output.size in (1, 2):
        return float(output.reshape(-1)[-1])
    if output.size == value.size:
        return _squared_error(output, value)
    raise DataMalformed(f"The metric 'auc' needs one score a case, and the model has {output.size} outputs")


def _area(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counting half; 0.5 without both classes."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return 0.5
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))
