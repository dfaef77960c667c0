"""Accuracy: the loss against the source model, on the user's data, and the gate on it."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_compiler.checks.advice import for_accuracy
from edgefleet_compiler.checks.intervals import wilson
from edgefleet_compiler.checks.metrics import Quality
from edgefleet_compiler.checks.parity import Parity
from edgefleet_compiler.options import DEFAULT_MAX_DROP, CompileOptions
from edgefleet_compiler.recipe.form import Scheme
from edgefleet_contract.errors import AccuracyLost
from edgefleet_hardware.profile import TargetProfile

MeasuredOn = Literal["validation", "calibration"]

LOW_SQNR_DB = 10.0
_ROUNDING = 1e-9  # 2 of 200 cases are a drop of 0.010000000000000009
_LEAST_SQNR_DB = 0.0  # what a constant output reaches that says the mean of the reference
_LEAST_AGREEMENT = 0.5


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
        chance: What guessing reaches by this metric; None where there is no such value.
    """

    metric: str
    baseline: float
    compiled: float
    drop: float
    ci95: tuple[float, float]
    n: int
    interval: str
    measured_on: MeasuredOn
    chance: float | None = None


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
        chance=quality.chance,
    )


def guesses(accuracy: Accuracy) -> bool:
    """Whether the source's quality cannot be told from guessing.

    That is where the Wilson interval of a share of right cases reaches down to chance; other metrics have no interval
    of their own, and are taken as they are.
    """
    if accuracy.chance is None:
        return False
    if accuracy.metric != "top1":
        return accuracy.baseline <= accuracy.chance
    low, _ = wilson(round(accuracy.baseline * accuracy.n), accuracy.n)
    return low <= accuracy.chance


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


def check_accuracy(
    options: CompileOptions, accuracy: Accuracy | None, parity: Parity, profile: TargetProfile, scheme: Scheme
) -> AccuracyLost | None:
    """The refusal that a loss asks for: of accuracy where that has a limit, else only a gross one of parity.

    Args:
        options: With the user's limit.
        accuracy: What the artifact keeps; None where it was not measured.
        parity: Against the source.
        profile: The target.
        scheme: That was applied.

    Returns:
        None for a loss that is allowed.
    """
    limit = None if accuracy is None else drop_limit(options, accuracy)
    if accuracy is None or limit is None:
        return _check_gross_loss(parity, profile, scheme)
    if accuracy.drop <= limit + _ROUNDING:
        # Where the source only guesses there is nothing to lose: labels of another model would let anything pass.
        return _check_gross_loss(parity, profile, scheme) if guesses(accuracy) and options.max_drop is None else None
    low, high = accuracy.ci95
    return AccuracyLost(
        f"The artifact for {profile.name!r} loses {accuracy.drop:.4f} of {accuracy.metric} "
        f"({accuracy.baseline:.4f} to {accuracy.compiled:.4f}, 95 % interval {low:.4f} to {high:.4f}, n={accuracy.n})",
        expected=f"at most --max-drop {limit:g}",
        remedy=f"{for_accuracy(scheme, profile)}, or allow more.",
        target=profile.name,
        drop=accuracy.drop,
        max_drop=limit,
    )


def _check_gross_loss(parity: Parity, profile: TargetProfile, scheme: Scheme) -> AccuracyLost | None:
    """The refusal of an artifact that no labels are needed to call broken.

    That is one with more noise than signal in an output, or one that decides otherwise than the source in most cases
    while its outputs carry much noise. With little noise the largest output may still change places, as among the
    many equal ones of an autoencoder.
    """
    ratio, agreement = parity.sqnr_db, parity.argmax_agreement
    disagrees = agreement < _LEAST_AGREEMENT and (ratio is None or ratio < LOW_SQNR_DB)
    drowned = ratio is not None and ratio < _LEAST_SQNR_DB
    if not drowned and not disagrees:
        return None
    noise = "" if ratio is None else f"a signal to noise ratio of {ratio:.1f} dB, and "
    return AccuracyLost(
        f"The artifact for {profile.name!r} has little in common with the source: {noise}equal decisions in "
        f"{agreement:.3f} of {parity.n} cases",
        expected=f"at least {_LEAST_SQNR_DB:g} dB, and equal decisions in half of the cases",
        remedy=f"{for_accuracy(scheme, profile)}, or set your own limit with --max-drop.",
        target=profile.name,
        sqnr_db=ratio,
        argmax_agreement=agreement,
    )
