"""Climbing: which rungs are tried, when it is enough, and which of the artifacts is shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgefleet_compiler.attempt import Attempt
from edgefleet_compiler.ladder.record import Outcome, Step
from edgefleet_compiler.recipe import Rung
from edgefleet_compiler.recipe.form import STATIC
from edgefleet_contract.errors import GateError
from edgefleet_hardware.units import format_bytes

_AS_FAST = 0.95  # of the speed of another
_ALIKE = 0.01  # artifacts whose bytes differ by less than this share are equally small


@dataclass(frozen=True)
class Climb:
    """What came of all rungs.

    Attributes:
        attempt: The artifact to ship; or, where every one was refused, the one that came nearest.
        steps: What became of each rung that was reached, in order.
    """

    attempt: Attempt
    steps: list[Step]

    @property
    def warnings(self) -> list[str]:
        """Why what is smaller was not shipped, in sentences."""
        return [step.warning for step in self.steps if step.warning is not None]


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
    tried: list[_Tried] = []
    faults: list[tuple[Rung, GateError]] = []
    for rung in rungs:
        if rung.deferred and any(each.good for each in tried):
            break
        if any(each.is_vain and _computes_alike(each.rung, rung) for each in tried):
            continue
        try:
            made = attempt(rung)
        except GateError as fault:
            faults.append((rung, fault))
            continue
        if made is not None:
            tried.append(_Tried(rung, made))
    if not tried:
        raise faults[0][1]
    shipped = _best(tried)
    steps = {each.rung.name: each.step(shipped) for each in tried}
    steps |= {rung.name: _impossible(rung, fault) for rung, fault in faults}
    return Climb(shipped.attempt, [steps[rung.name] for rung in rungs if rung.name in steps])


@dataclass(frozen=True)
class _Tried:
    rung: Rung
    attempt: Attempt

    @property
    def accurate(self) -> bool:
        return self.attempt.lost_accuracy is None

    @property
    def good(self) -> bool:
        return self.accurate and not self.is_vain

    @property
    def is_vain(self) -> bool:
        """Whether it is slower than float, or has no effect: what computes alike will be so, too."""
        return self.attempt.is_slower or not self.attempt.does_what_was_asked(self.rung.recipe)

    def step(self, shipped: _Tried) -> Step:
        accuracy, artifact = self.attempt.measurement.accuracy, self.attempt.artifact
        outcome, why = self._outcome(shipped)
        return Step(
            rung=self.rung.name,
            recipe=artifact.recipe.scheme,
            bytes=len(artifact.data),
            sqnr_db=self.attempt.sqnr_db,
            accuracy=None if accuracy is None else accuracy.compiled,
            drop=None if accuracy is None else accuracy.drop,
            speed_ratio=self.attempt.speed.ratio,
            outcome=outcome,
            why=why,
        )

    def _outcome(self, shipped: _Tried) -> tuple[Outcome, str]:
        attempt = self.attempt
        lost = attempt.lost_accuracy
        if self is shipped:
            return ("refused", attempt.refusals[0].seen) if attempt.refusals else ("shipped", "")
        if lost is not None:
            return "inaccurate", lost.seen
        if attempt.is_slower:
            return "slower", f"it {attempt.speed.slowness}"
        if not attempt.does_what_was_asked(self.rung.recipe):
            return "without effect", "it changes nothing of this model"
        return "not needed", f"{shipped.rung.name} is {_advantage(shipped.attempt, attempt)}"


def _best(tried: Sequence[_Tried]) -> _Tried:
    """The smallest of the good ones; of equally small ones the fastest, and of equally fast ones the truest.

    Accuracy comes before speed: where nothing is as fast as float, the smallest accurate artifact is shipped with a
    warning. Where nothing is accurate, the least inaccurate one is refused.
    """
    for allowed in (
        [each for each in tried if each.good],
        [each for each in tried if each.accurate],
    ):
        if allowed:
            smallest = min(len(each.attempt.artifact.data) for each in allowed)
            alike = [each for each in allowed if len(each.attempt.artifact.data) <= smallest * (1 + _ALIKE)]
            fastest = max(each.attempt.speed.ratio or 0.0 for each in alike)
            quick = [each for each in alike if (each.attempt.speed.ratio or fastest) >= fastest * _AS_FAST]
            return max(quick, key=lambda each: _truth(each.attempt))
    return min(tried, key=lambda each: (_drop(each.attempt), -_truth(each.attempt)))


def _truth(attempt: Attempt) -> float:
    return float("inf") if attempt.sqnr_db is None else attempt.sqnr_db


def _drop(attempt: Attempt) -> float:
    accuracy = attempt.measurement.accuracy
    return 0.0 if accuracy is None else accuracy.drop


def _computes_alike(vain: Rung, rung: Rung) -> bool:
    """Whether a rung computes as another does, or in more bits than that; one that is made faster does not."""
    return rung.tuning != "fast" and vain.recipe.scheme in STATIC and rung.recipe.scheme in STATIC


def _impossible(rung: Rung, fault: GateError) -> Step:
    return Step(
        rung=rung.name,
        recipe=None,
        bytes=None,
        sqnr_db=None,
        accuracy=None,
        drop=None,
        speed_ratio=None,
        outcome="impossible",
        why=fault.seen,
    )


def _advantage(shipped: Attempt, other: Attempt) -> str:
    if len(shipped.artifact.data) < len(other.artifact.data) * (1 - _ALIKE):
        return f"smaller, {format_bytes(len(shipped.artifact.data))}"
    if (other.speed.ratio or 1.0) < (shipped.speed.ratio or 1.0) * _AS_FAST:
        return "faster for as few bytes"
    if _truth(shipped) > _truth(other):
        return "truer for the same bytes"
    return "as true in as many bytes"
