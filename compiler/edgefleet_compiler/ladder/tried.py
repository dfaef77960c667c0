"""What was tried: a rung and what came of it, judged, and told in a line of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgefleet_compiler.attempt import Attempt
from edgefleet_compiler.checks.budget import broken_limits
from edgefleet_compiler.ladder.record import Outcome, Step
from edgefleet_compiler.recipe import Rung
from edgefleet_contract.errors import EdgefleetError
from edgefleet_hardware.units import format_bytes

AS_FAST = 0.95  # of the speed of another
ALIKE = 0.01  # artifacts whose bytes differ by less than this share are equally small


@dataclass(frozen=True)
class Tried:
    """A rung that gave an artifact."""

    rung: Rung
    attempt: Attempt

    @property
    def accurate(self) -> bool:
        """Whether it loses no more accuracy than is allowed."""
        return self.attempt.lost_accuracy is None

    @property
    def good(self) -> bool:
        """Whether it is accurate, does something, and is not slower than float; limits are not asked."""
        return self.accurate and not self.is_vain

    @property
    def is_vain(self) -> bool:
        """Whether it is slower than float, or has no effect: what computes alike will be so, too."""
        return self.attempt.is_slower or not self.attempt.does_what_was_asked(self.rung.recipe)

    @property
    def bytes(self) -> int:
        """Of the artifact."""
        return len(self.attempt.artifact.data)

    @property
    def sqnr_db(self) -> float:
        """Of the outputs against the source; infinity without noise."""
        return float("inf") if self.attempt.sqnr_db is None else self.attempt.sqnr_db

    @property
    def drop(self) -> float:
        """Loss of accuracy, a fraction; 0 where it was not measured."""
        accuracy = self.attempt.measurement.accuracy
        return 0.0 if accuracy is None else accuracy.drop

    def step(self, shipped: Tried) -> Step:
        """The line of the report.

        Args:
            shipped: What is shipped, or refused as what came nearest.
        """
        accuracy, artifact, memory = self.attempt.measurement.accuracy, self.attempt.artifact, self.attempt.memory
        outcome, why = self._outcome(shipped)
        return Step(
            rung=self.rung.name,
            recipe=artifact.recipe.scheme,
            bytes=self.bytes,
            peak_ram_bytes=None if memory is None else memory.bytes,
            macs=artifact.exported.macs,
            sqnr_db=self.attempt.sqnr_db,
            accuracy=None if accuracy is None else accuracy.compiled,
            drop=None if accuracy is None else accuracy.drop,
            speed_ratio=self.attempt.speed.ratio,
            outcome=outcome,
            why=why,
        )

    def _outcome(self, shipped: Tried) -> tuple[Outcome, str]:
        attempt = self.attempt
        lost, broken = attempt.lost_accuracy, broken_limits(attempt.budget)
        if self is shipped:
            return ("refused", self._shortfall or attempt.refusals[0].seen) if attempt.refusals else ("shipped", "")
        if lost is not None:
            return "inaccurate", f"{lost.seen}; and over budget: {broken}" if broken else lost.seen
        if broken:
            return "over budget", broken
        if attempt.is_slower:
            return "slower", f"it {attempt.speed.slowness}"
        if not attempt.does_what_was_asked(self.rung.recipe):
            return "without effect", "it changes nothing of this model"
        return "not needed", f"{shipped.rung.name} is {_advantage(shipped, self)}"

    @property
    def _shortfall(self) -> str:
        """What is broken and lost, in short: the refusal tells the rest; empty where it is about neither."""
        told = [broken_limits(self.attempt.budget)]
        if not self.accurate or any(_says_accuracy_binds(refusal) for refusal in self.attempt.refusals):
            measured = self.attempt.measurement.accuracy is not None
            told.append(f"loses {self.drop:.4f} of accuracy" if measured else "too far from the source")
        return "; ".join(filter(None, told))


@dataclass(frozen=True)
class Impossible:
    """A rung that gave no artifact, and why."""

    rung: Rung
    fault: EdgefleetError

    def step(self, _: Tried) -> Step:
        """The line of the report."""
        return Step(rung=self.rung.name, outcome="impossible", why=self.fault.seen)


@dataclass(frozen=True)
class Climb:
    """What came of all rungs.

    Attributes:
        shipped: The artifact to ship; or, where every one was refused, the one that came nearest.
        reached: All rungs that were reached, in order.
        further: Lines of what was reckoned and not made.
        assured: Where nothing keeps the limits, the nearest to them that is accurate enough and for whose figures, as
            limits, a search was made that arrived; None without one.
    """

    shipped: Tried
    reached: Sequence[Tried | Impossible]
    further: Sequence[Step] = ()
    assured: Tried | None = None

    @property
    def attempt(self) -> Attempt:
        """What is shipped, or refused."""
        return self.shipped.attempt

    @property
    def breaks_a_limit(self) -> bool:
        """Whether there is anything to search for: a limit that is broken, and that can be measured."""
        return any(not line.ok and line.value is not None for line in self.attempt.budget)

    @property
    def steps(self) -> list[Step]:
        """What became of each rung that was reached, in order."""
        return [*(each.step(self.shipped) for each in self.reached), *self.further]

    @property
    def tried(self) -> list[Tried]:
        """The rungs that gave an artifact."""
        return [each for each in self.reached if isinstance(each, Tried)]

    @property
    def warnings(self) -> list[str]:
        """Why what is smaller was not shipped, in sentences."""
        return [step.warning for step in self.steps if step.warning is not None]


def _says_accuracy_binds(refusal: EdgefleetError) -> bool:
    binds = refusal.facts.get("binds")
    return isinstance(binds, list) and "accuracy" in binds


def _advantage(shipped: Tried, other: Tried) -> str:
    if shipped.bytes < other.bytes * (1 - ALIKE):
        return f"smaller, {format_bytes(shipped.bytes)}"
    if (other.attempt.speed.ratio or 1.0) < (shipped.attempt.speed.ratio or 1.0) * AS_FAST:
        return "faster for as few bytes"
    if shipped.bytes > other.bytes * (1 + ALIKE):
        return "more accurate" if shipped.drop < other.drop else "truer"
    if shipped.sqnr_db > other.sqnr_db:
        return "truer for the same bytes"
    return "more accurate" if shipped.drop < other.drop else "as true in as many bytes"
