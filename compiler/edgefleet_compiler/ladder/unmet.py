"""The refusal of a budget that nothing keeps: the nearest that was reached, what binds, and what would be accepted."""

from __future__ import annotations

import math

from edgefleet_compiler.checks.budget import BudgetLine, label, plain
from edgefleet_compiler.ladder.best import excess, keeps_limits
from edgefleet_compiler.ladder.training import FEWEST_LESSONS, is_trained
from edgefleet_compiler.ladder.tried import Climb, Tried
from edgefleet_contract.errors import AccuracyLost, BudgetExceeded
from edgefleet_hardware.profile import TargetProfile

_ROUNDING = 1e-6
_OPTIONS = {"flash": "--max-flash", "ram": "--max-ram", "latency_ms": "--max-latency"}


def refuse_unmet(climbed: Climb, profile: TargetProfile) -> None:
    """Let the refusals of what came nearest be one, that says what binds; nothing where the budget is kept.

    Args:
        climbed: What the search came to.
        profile: The target.
    """
    refusals = climbed.attempt.refusals
    others = [refusal for refusal in refusals if not isinstance(refusal, AccuracyLost | BudgetExceeded)]
    if len(others) < len(refusals):
        refusals[:] = [_unmet(climbed, profile), *others]


def _unmet(climbed: Climb, profile: TargetProfile) -> BudgetExceeded:
    shipped = climbed.shipped
    tells = [_of_limits(shipped) if not keeps_limits(shipped) else _of_accuracy(shipped)]
    accurate = [each for each in climbed.tried if each.accurate]
    if not shipped.accurate and accurate:
        closest = min(accurate, key=excess)
        tells.append(f"{closest.rung.name}, accurate enough, takes {_figures(closest)}")
    return BudgetExceeded(
        f"{_count(climbed)} keeps to the budget of {profile.name!r}: {'; '.join(tells)}",
        remedy=f"{_would_do(climbed)} Or {_training(climbed)}choose a smaller model.",
        target=profile.name,
        limits=[line.name for line in _broken(shipped)],
        nearest=shipped.rung.name,
        binds=sorted({line.name for line in _broken(shipped)} | (set() if shipped.accurate else {"accuracy"})),
    )


def _count(climbed: Climb) -> str:
    """How many were judged: what was reckoned only is told apart, and what could not be made is none."""
    reckoned = f" ({len(climbed.further)} more were only reckoned)" if climbed.further else ""
    return f"None of {len(climbed.tried)} ways that were made{reckoned}"


def _would_do(climbed: Climb) -> str:
    """Limits at which a search arrived; and those of what was made, which promise nothing of another search."""
    shipped, assured = climbed.shipped, climbed.assured
    if assured is None:
        accurate = [] if shipped.accurate else [each for each in climbed.tried if each.accurate]
        enough = [_needs(each) for each in (*sorted(accurate, key=excess)[:1], shipped)]
        return (
            f"What was made needs {' or '.join(enough)}; other limits are searched anew, by other ways, "
            "so leave some room."
        )
    arrives = f"A search with {_needs(assured)} arrives: it was tried."
    return arrives if assured is shipped else f"{arrives} What was made nearest needs {_needs(shipped)}."


def _needs(tried: Tried) -> str:
    """The limits that would let an artifact pass."""
    limits = [_allowed(line) for line in _broken(tried)]
    if not tried.accurate:
        limits.append(f"--max-drop {math.ceil(tried.drop * 1000 - _ROUNDING) / 1000:g}")
    return " and ".join(limits)


def _training(climbed: Climb) -> str:
    """What training may bring where accuracy binds, and nothing was trained."""
    within = keeps_limits(climbed.shipped)
    if not within or any(is_trained(each.rung.recipe) for each in climbed.reached):
        return ""
    return (
        f"train what fits (`edgefleet model finetune`; with TensorFlow and {FEWEST_LESSONS:,} calibration cases "
        "or more it is done here), or "
    )


def _of_limits(tried: Tried) -> str:
    lost = "" if tried.accurate else f", and {_loss(tried)}"
    return f"the nearest, {tried.rung.name}, takes {_figures(tried)}{lost}"


def _of_accuracy(tried: Tried) -> str:
    return f"accuracy binds: within the limits the nearest, {tried.rung.name}, {_loss(tried)}"


def _loss(tried: Tried) -> str:
    """What is lost, and what may be, in words that go on with a sentence."""
    lost = tried.attempt.lost_accuracy
    assert lost is not None, "only asked of what is inaccurate"
    if "max_drop" not in lost.facts:
        return f"is too far from the source: {lost.seen}"
    return f"loses {tried.drop:.4f} of accuracy, where {lost.facts['max_drop']:g} is allowed"


def _broken(tried: Tried) -> list[BudgetLine]:
    return [line for line in tried.attempt.budget if not line.ok]


def _figures(tried: Tried) -> str:
    """For example ``flash 34,112 bytes of 32,768 bytes``."""
    return " and ".join(
        f"{label(line.name)} {'?' if line.value is None else plain(line.name, line.value)} of "
        f"{plain(line.name, line.limit)}"
        for line in _broken(tried)
    )


def _allowed(line: BudgetLine) -> str:
    """The limit that would let a figure pass: an option, or the target's own."""
    value = "?" if line.value is None else _needed(line)
    return f"{_OPTIONS[line.name]} {value}" if line.set_by == "option" else f"a target with {label(line.name)} {value}"


def _needed(line: BudgetLine) -> str:
    assert line.value is not None
    return f"{math.ceil(line.value * 1000) / 1000:g}ms" if line.name == "latency_ms" else f"{line.value:.0f}"
