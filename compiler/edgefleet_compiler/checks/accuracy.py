"""Accuracy: the loss against the source model, on the user's data, and the gate on it."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_compiler.checks.metrics import Quality
from edgefleet_compiler.options import DEFAULT_MAX_DROP, CompileOptions
from edgefleet_contract.errors import AccuracyLost

MeasuredOn = Literal["validation", "calibration"]


class Accuracy(msgspec.Struct, frozen=True):
    """What the artifact keeps of the source model's quality.

    Attributes:
        metric: Its name.
        baseline: Of the source model in its own runtime.
        compiled: Of the artifact in the target's runtime, as near as the host comes to it.
        drop: The loss, a fraction; negative for a gain.
        ci95: Interval of ``drop``, paired.
        n: Cases.
        interval: How the interval was found.
        measured_on: Which data set.
    """

    metric: str
    baseline: float
    compiled: float
    drop: float
    ci95: tuple[float, float]
    n: int
    interval: str
    measured_on: MeasuredOn


def accuracy_of(metric: str, quality: Quality, n: int, measured_on: MeasuredOn) -> Accuracy:
    """A metric's result as the report has it."""
    return Accuracy(
        metric=metric,
        baseline=quality.baseline,
        compiled=quality.compiled,
        drop=quality.drop,
        ci95=quality.ci95,
        n=n,
        interval=quality.interval,
        measured_on=measured_on,
    )


def drop_limit(options: CompileOptions, accuracy: Accuracy) -> float | None:
    """The loss that is allowed, or None where only a warning is due.

    Without labels, and unless the user set a limit or chose a metric, there is no gate: agreement with the source is
    not accuracy. A case near a boundary falls either way, right or wrong, so that int8 models which lose nothing on
    labelled data agree on 95 to 98 %.
    """
    if options.max_drop is not None:
        return options.max_drop
    judged = accuracy.metric != "agreement" or options.metric is not None
    return DEFAULT_MAX_DROP if judged else None


def check_accuracy(options: CompileOptions, accuracy: Accuracy, target: str) -> AccuracyLost | None:
    """The refusal that a loss of accuracy asks for; None if it is within the limit or has none."""
    limit = drop_limit(options, accuracy)
    if limit is None or accuracy.drop <= limit:
        return None
    low, high = accuracy.ci95
    return AccuracyLost(
        f"The artifact for {target!r} loses {accuracy.drop:.4f} of {accuracy.metric} "
        f"({accuracy.baseline:.4f} to {accuracy.compiled:.4f}, 95 % interval {low:.4f} to {high:.4f}, n={accuracy.n})",
        expected=f"at most --max-drop {limit:g}",
        remedy="Calibrate on more typical inputs, use --recipe fp16, or allow more.",
        target=target,
        drop=accuracy.drop,
        max_drop=limit,
    )
