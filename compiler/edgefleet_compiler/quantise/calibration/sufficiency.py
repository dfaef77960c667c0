"""Whether a calibration set has cases enough, told from the set itself.

A case that alone widens the range of an activation would, were it new, have been saturated. Cases are exchangeable, so
the share of such cases in the set is what leaving one out estimates without bias: the chance that a new case leaves the
range that all others but one show (Good 1953, "The population frequencies of species and the estimation of population
parameters": unseen species from those seen once). It needs no assumption about distributions, nor about how activations
depend on each other. It cannot tell whether the cases are typical: a set of one class has ranges that soon suffice for
that class.
"""

from __future__ import annotations

import math

from edgefleet_compiler.checks.intervals import wilson
from edgefleet_compiler.quantise.calibration.cases import LEAD
from edgefleet_compiler.quantise.calibration.observe import Observations

_LARGEST_CHANCE = 0.1
_WANTED_CHANCE = 0.05
_USUAL_CASES = 200


def warn_of_few(seen: Observations) -> list[str]:
    """A warning if more than one new case in ten is likely to leave a range by more than ``cases.LEAD`` of it."""
    if seen.cases == 1:
        told = "The calibration set is small: a single case shows nothing of how far others reach."
        return [f"{told} About {_USUAL_CASES} typical cases serve better."]
    chance = seen.leading / seen.cases
    if chance <= _LARGEST_CHANCE:
        return []
    low, high = wilson(seen.leading, seen.cases)
    # How many cases lead hardly depends on how many there are.
    wanted = max(_USUAL_CASES, math.ceil(seen.leading / _WANTED_CHANCE / 50) * 50)
    told = (
        f"The calibration set is small: {seen.leading} of {seen.cases} cases alone widen the range of some activation "
        f"by more than {LEAD:.0%}, so that about {chance:.0%} of new cases would be saturated there (leaving one out; "
        f"95 % interval {low:.0%} to {high:.0%}). About {wanted} typical cases serve better."
    )
    return [told]
