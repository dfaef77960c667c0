"""The best within a budget, and what comes nearest to one that nothing keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from msgspec.structs import replace

from edgefleet_compiler.checks.accuracy import Accuracy
from edgefleet_compiler.checks.budget import BudgetLine
from edgefleet_compiler.ladder.tried import Tried

FEWEST_CASES = 50
"""Below it a metric tells no small difference."""

_STANDARD_ERRORS = 2 * 1.96  # in a 95 % interval
_AS_TRUE_DB = 0.5


Budget = Callable[[Tried], Sequence[BudgetLine]]
"""The limits that artifacts are held against, with what one takes of each."""


def budget_of(tried: Tried) -> Sequence[BudgetLine]:
    """The limits that were asked for."""
    return tried.attempt.budget


def eased_by(other: Tried) -> Budget:
    """Limits that an artifact keeps: where it breaks one that was asked for, what it takes is the limit."""
    taken = {line.name: line.value for line in other.attempt.budget if not line.ok and line.value is not None}

    def eased(tried: Tried) -> Sequence[BudgetLine]:
        return [_at_least(line, taken.get(line.name)) for line in tried.attempt.budget]

    return eased


def _at_least(line: BudgetLine, limit: float | None) -> BudgetLine:
    if limit is None or limit <= line.limit:
        return line
    return replace(line, limit=limit, ok=line.value is not None and line.value <= limit)


def keeps_limits(tried: Tried) -> bool:
    """Whether every limit of the target and of the user is kept."""
    return all(line.ok for line in tried.attempt.budget)


def excess(tried: Tried) -> float:
    """How many times more is taken than allowed, of the limit that is farthest from being kept."""
    ratios = [inf if line.value is None else line.value / line.limit for line in tried.attempt.budget if not line.ok]
    return max(ratios, default=1.0)


def best(tried: Sequence[Tried]) -> Tried | None:
    """Of what keeps every limit and is accurate enough, that which keeps the most accuracy.

    Accuracy is the user's metric where there are labels, and cases enough to tell: what is within one standard error of
    the best is as good (the rule of Breiman et al. 1984, Classification and Regression Trees, section 3.4.3). Of these,
    and where there are no labels, it is the signal to noise ratio of the outputs; within half a decibel of the best the
    smallest artifact wins. What is slower than float comes after all that is not.

    Returns:
        None where nothing keeps them.
    """
    allowed = [each for each in tried if keeps_limits(each) and each.accurate]
    allowed = [each for each in allowed if not each.is_vain] or allowed
    if not allowed:
        return None
    level = _as_accurate(allowed)
    truest = max(each.sqnr_db for each in level)
    return min((each for each in level if each.sqnr_db >= truest - _AS_TRUE_DB), key=lambda each: each.bytes)


def nearest(tried: Sequence[Tried]) -> Tried:
    """What comes nearest to a budget that nothing keeps.

    That is what keeps the limits and loses the least accuracy; where nothing keeps them, what passes them least, and of
    what passes them as little the most accurate.
    """
    within = [each for each in tried if keeps_limits(each)]
    if within:
        return min(within, key=lambda each: (each.drop, -each.sqnr_db))
    return min(tried, key=lambda each: (excess(each), each.drop, -each.sqnr_db))


def _as_accurate(tried: Sequence[Tried]) -> Sequence[Tried]:
    """Those whose accuracy cannot be told from the best; all of them where nothing tells it."""
    first = min(tried, key=lambda each: each.drop)
    accuracy = first.attempt.measurement.accuracy
    if accuracy is None or not _tells(accuracy):
        return tried
    low, high = accuracy.ci95
    return [each for each in tried if each.drop <= first.drop + (high - low) / _STANDARD_ERRORS]


def _tells(accuracy: Accuracy) -> bool:
    """Whether a metric tells accuracy: agreement with the source is none."""
    return accuracy.metric != "agreement" and accuracy.n >= FEWEST_CASES
