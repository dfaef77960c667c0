"""From figures to causes: a pure function, whose thresholds say what they mean in bits and decibels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgefleet_compiler.diagnose.record import Cause

_LEVELS = 255

_RARE = 4.0
"""Two bits: how many times further one case reaches than the median case. Sound models stay below 2.5."""

_CLIPPED = 10.0
"""How many times more noise saturation makes than rounding, from which on a range is too narrow and not just tight."""

_AUDIBLE_DB = 30.0
"""Signal to noise of an activation on its own, above which saturation may be left alone: 8 bits give about 40."""

_ENOUGH_CASES = 50
"""From here on a set is not small: of so many typical cases, others do not reach several times as far as all."""

_OTHER_SCALE = 4.0
"""Two bits: how many times further than a set that is not small other cases reach only if they are made otherwise."""

_USUALLY = 0.2
"""Share of values: typical ones leave the range, not those of a rare case."""

_DEAD_DB = 10.0
"""Signal to rounding noise of an activation on its own, below which most of its values fall on one or two steps."""


@dataclass(frozen=True)
class Saturated:
    """What a range cuts off.

    Attributes:
        share: Of the values.
        noise: Mean square of what is cut off, over all values.
        low: The smallest value.
        high: The largest.
    """

    share: float
    noise: float
    low: float
    high: float

    @property
    def reach(self) -> float:
        """The largest magnitude."""
        return max(self.high, -self.low)


@dataclass(frozen=True)
class Evidence:
    """What is known of one activation.

    Attributes:
        low: Low end of the range that int8 has for it.
        high: High end.
        power: Mean square of its values over the calibration set.
        reach: Its largest magnitude in any case of the calibration set.
        reach_case: That case.
        median_reach: The median over cases of the largest magnitude.
        cases: How many cases the calibration set has.
        calibration: What the range cuts off of cases of the calibration set.
        held_out: The same of cases that are not of it.
    """

    low: float
    high: float
    power: float
    reach: float
    reach_case: int
    median_reach: float
    cases: int
    calibration: Saturated
    held_out: Saturated

    @property
    def step(self) -> float:
        """Of int8."""
        return (self.high - self.low) / _LEVELS

    @property
    def rounding(self) -> float:
        """Power of the rounding noise."""
        return self.step**2 / 12


def is_unlike(inputs: Iterable[Evidence]) -> bool:
    """Whether other cases leave the range of an input so far, and so often, that calibration's are of another scale.

    Inputs divided by 255 in one set and not in the other are the usual reason; more cases of that kind would not help.
    Biases hide it from the layers behind.
    """
    return any(
        found.cases >= _ENOUGH_CASES
        and found.held_out.reach >= _OTHER_SCALE * found.reach > 0
        and found.held_out.share >= _USUALLY
        for found in inputs
    )


def cause_of(evidence: Evidence, *, unlike: bool = False) -> tuple[Cause, str] | None:
    """Why an activation is bad, and the figures; None where nothing is wrong with it.

    Outlier channels are told apart before (``quantise.outliers``); they would look like a dead scale here.

    Args:
        evidence: Of the activation.
        unlike: Whether the calibration set ``is_unlike`` other cases.
    """
    if evidence.reach == 0:
        return _never_seen(evidence)
    if _cuts_too_much(evidence.calibration, evidence):
        return "saturation", _told_saturation(evidence.calibration, evidence, "values of calibration cases")
    if evidence.reach >= _RARE * evidence.median_reach > 0 and _follows_the_rare_case(evidence):
        return "range lost to a rare input", (
            f"case {evidence.reach_case} of the calibration set reaches {evidence.reach:.4g}, "
            f"{evidence.reach / evidence.median_reach:.3g} times the median case's {evidence.median_reach:.4g}, "
            f"which is left {_LEVELS * evidence.median_reach / (evidence.high - evidence.low):.0f} of {_LEVELS} steps"
        )
    if _cuts_too_much(evidence.held_out, evidence):
        return _calibrated_otherwise(evidence, unlike)
    if _decibels(evidence.power, evidence.rounding) < _DEAD_DB:
        return "dead scale", (
            f"a step is {evidence.step:.4g}, and the values' root mean square {math.sqrt(evidence.power):.4g}: most of "
            "them fall on one or two steps"
        )
    return None


def _calibrated_otherwise(evidence: Evidence, unlike: bool) -> tuple[Cause, str]:
    told = _told_saturation(evidence.held_out, evidence, "values of other cases")
    if not unlike:
        return "calibration too small", f"{told}, which {evidence.cases} calibration cases do not show"
    return "calibration unlike other cases", (
        f"{told}, {evidence.held_out.reach / evidence.reach:.3g} times as far as any of {evidence.cases} "
        "calibration cases"
    )


def _never_seen(evidence: Evidence) -> tuple[Cause, str] | None:
    if evidence.held_out.reach <= evidence.step:
        return None
    reach = f"other cases reach {evidence.held_out.reach:.4g}"
    return "dead scale", f"it is zero in all {evidence.cases} calibration cases, and {reach}"


def _follows_the_rare_case(evidence: Evidence) -> bool:
    """Whether the range spends its steps on it."""
    return max(evidence.high, -evidence.low) >= _RARE / 2 * evidence.median_reach


def _cuts_too_much(saturated: Saturated, evidence: Evidence) -> bool:
    beyond_rounding = saturated.noise > _CLIPPED * evidence.rounding
    return beyond_rounding and _decibels(evidence.power, saturated.noise) < _AUDIBLE_DB


def _told_saturation(saturated: Saturated, evidence: Evidence, whose: str) -> str:
    return (
        f"{saturated.share:.2%} of the {whose} lie beyond the range {evidence.low:.4g} to {evidence.high:.4g}, "
        f"up to {saturated.reach:.4g}"
    )


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
