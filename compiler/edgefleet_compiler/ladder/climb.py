"""Climbing: which rungs are tried, when it is enough, and which of the artifacts is shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgefleet_compiler.attempt import Attempt
from edgefleet_compiler.ladder.tried import ALIKE, AS_FAST, Climb, Impossible, Tried
from edgefleet_compiler.recipe import Rung
from edgefleet_compiler.recipe.form import STATIC
from edgefleet_contract.errors import GateError

__all__ = ["Climb", "climb"]


def climb(rungs: Sequence[Rung], attempt: Callable[[Rung], Attempt | None]) -> Climb:
    """Try rungs in order until one is accurate enough and not slower than float; ship the smallest of these.

    Rungs whose artifacts cost a device the same are all tried; the ladder goes on beyond them only where it has to.
    What makes int8 slower than float makes every rung so that computes in integers throughout: these are left out then.

    Args:
        rungs: At least one.
        attempt: Makes a rung's recipe explicit, builds and measures it; None where the rung has nothing to try.

    Raises:
        GateError: No artifact could be made by any rung.
    """
    reached: list[Tried | Impossible] = []
    tried: list[Tried] = []
    for rung in rungs:
        if rung.deferred and any(each.good for each in tried):
            break
        if any(each.is_vain and _computes_alike(each.rung, rung) for each in tried):
            continue
        try:
            made = attempt(rung)
        except GateError as fault:
            reached.append(Impossible(rung, fault))
            continue
        if made is not None:
            tried.append(Tried(rung, made))
            reached.append(tried[-1])
    if not tried:
        raise next(each.fault for each in reached if isinstance(each, Impossible))
    return Climb(_best(tried), reached)


def _best(tried: Sequence[Tried]) -> Tried:
    """The smallest of the good ones; of equally small ones the fastest, and of equally fast ones the truest.

    Accuracy comes before speed: where nothing is as fast as float, the smallest accurate artifact is shipped with a
    warning. Where nothing is accurate, the least inaccurate one is refused.
    """
    for allowed in (
        [each for each in tried if each.good],
        [each for each in tried if each.accurate],
    ):
        if allowed:
            smallest = min(each.bytes for each in allowed)
            alike = [each for each in allowed if each.bytes <= smallest * (1 + ALIKE)]
            fastest = max(each.attempt.speed.ratio or 0.0 for each in alike)
            quick = [each for each in alike if (each.attempt.speed.ratio or fastest) >= fastest * AS_FAST]
            return max(quick, key=lambda each: each.sqnr_db)
    return min(tried, key=lambda each: (each.drop, -each.sqnr_db))


def _computes_alike(vain: Rung, rung: Rung) -> bool:
    """Whether a rung computes as another does, or in more bits than that; one that is made faster does not."""
    return rung.tuning != "fast" and vain.recipe.scheme in STATIC and rung.recipe.scheme in STATIC
