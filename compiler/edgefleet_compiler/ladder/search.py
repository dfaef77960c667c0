"""The search for a budget: where what the ladder ships breaks a limit, means are applied until something keeps all.

Costs are reckoned first, so that only what keeps the limits is made with care; of that, what makes the least noise in
the outputs is measured in full. Every step is deterministic but for what is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from edgefleet_compiler.attempt import Attempt
from edgefleet_compiler.ladder.best import Budget, best, budget_of, eased_by, excess, nearest
from edgefleet_compiler.ladder.costs import Bounds, Cost
from edgefleet_compiler.ladder.dials import Ground, Means
from edgefleet_compiler.ladder.record import Outcome, Step
from edgefleet_compiler.ladder.training import can_train, training
from edgefleet_compiler.ladder.tried import Climb, Impossible, Tried
from edgefleet_compiler.ladder.tuner import Tuner
from edgefleet_compiler.ladder.ways import Way, Ways
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import Recipe, Rung
from edgefleet_compiler.recipe.form import QUANTISING
from edgefleet_contract.errors import EdgefleetError

_MEASURED = 4  # ways, of those whose outputs are truest; and besides these each means alone
_LIKELY = 6  # ways that may be among those once their weights are rounded as they will be
_CLEARLY = 0.95  # nearer to the limits by so much is worth a start of its own
_NEARER = 3  # halvings of the way, to find out how near the accurate comes
_CORRECTIONS = 2  # where an artifact takes more than was reckoned
_ASSURED = 3  # limits, of what came near, at which a search is tried before they are named


@dataclass(frozen=True)
class Search:
    """Searches for one target.

    Attributes:
        means: In the order in which several are applied.
        ground: What their dials are made of.
        tuner: Says what a way's weights are rounded by.
        attempt: Makes a rung's recipe explicit, builds and measures it.
        progress: Told of what takes long.
        lessons: Cases of the calibration set, for training.
    """

    means: Sequence[Means]
    ground: Ground
    tuner: Tuner
    attempt: Callable[[Rung], Attempt | None]
    progress: Progress
    lessons: int

    def beyond(self, climbed: Climb) -> Climb:
        """What is best within the budget, or nearest to it, of what the ladder reached and of what lies beyond."""
        trail = _Trail(list(climbed.reached), [])
        starts = [self._start(each) for each in _starts(climbed)]
        for start in starts:
            self._from(start, trail)
        if best(trail.tried) is None:
            self._train(trail)
        assured = None if best(trail.tried) is not None else self._assured(starts[0], trail)
        return Climb(best(trail.tried) or nearest(trail.tried), trail.reached, trail.further, assured)

    def _start(self, tried: Tried) -> _Start:
        recipe = tried.attempt.artifact.recipe
        reckoned = self.ground.reckoner.cost(recipe, self.ground.profile)
        return _Start(tried, Ways(recipe, self.means, self.ground), reckoned)

    def _from(self, start: _Start, trail: _Trail) -> None:
        """Try ways from an artifact."""
        ways, bounds = start.ways, Bounds.by(start.tried.attempt.budget, start.reckoned)
        found, worth_making, others = self._into(ways, bounds)
        trail.further.extend(_out_of_reach(way, bounds) for way in found if not way.arrives)
        for way in worth_making:
            trail.reached.extend(self._measured(way, ways))
        trail.further.extend(_left_out(way) for way in others)
        chosen = best(trail.tried)
        if chosen is None and start.tried.accurate:
            pairs = [way for way in (*worth_making, *others) if way.mix is not None]
            known = [*(way for way in found if way.is_single), *pairs[:1]]
            self._nearer(known, ways, bounds, start.reckoned, trail)
        elif chosen is not None and chosen.rung.tuning == "rounding" and chosen.rung.recipe.scheme == "int8":
            name = f"{chosen.rung.name}, refined"
            trail.reached.append(self._tried(Rung(name, chosen.attempt.artifact.recipe, "thorough")))

    def _into(self, ways: Ways, bounds: Bounds) -> tuple[list[Way], list[Way], list[Way]]:
        """All ways; of those that arrive the ones worth making, the truest first, and the others."""
        self.progress.stage("looking for ways into the budget")
        found = ways.into(bounds)
        fitting = self._truest([way for way in found if way.arrives])
        if fitting:
            fitting = self._truest([*fitting, *ways.beside(fitting[0], bounds)])
        worth_making = [way for place, way in enumerate(fitting) if place < _MEASURED or way.is_single]
        return found, worth_making, [way for way in fitting if way not in worth_making]

    def _assured(self, start: _Start, trail: _Trail) -> Tried | None:
        """The nearest to the limits of what is accurate enough, where a search for its own figures arrives, too.

        Whoever asks for these figures gets such a search: by other ways than the one that led to them here. So it is
        made here first, as far as to the first way that arrives.
        """
        near = sorted((each for each in trail.tried if each.accurate and excess(each) < inf), key=excess)
        for each in near[:_ASSURED]:
            budget = eased_by(each)
            if all(line.ok for line in budget(start.tried)):
                return each  # the ladder arrives, and nothing is searched
            _, worth_making, _ = self._into(start.ways, Bounds.by(budget(start.tried), start.reckoned))
            if any(way.recipe == each.rung.recipe for way in worth_making):
                return each  # made already, and the search would make it again
            for made in (made for way in worth_making for made in self._measured(way, start.ways, budget)):
                trail.reached.append(made)
                if isinstance(made, Tried) and made.accurate and all(line.ok for line in budget(made)):
                    return each
        return None

    def _nearer(self, known: Sequence[Way], ways: Ways, bounds: Bounds, start: Cost, trail: _Trail) -> None:
        """How near to the limits what is accurate enough comes by these means: by halving the way."""
        near, far = 0.0, 1.0
        for _ in range(_NEARER):
            share = (near + far) / 2
            between = bounds.part_of_the_way(start, share)
            turned = [way for each in known for way in ways.likewise(each, between)]
            arriving = self._truest([way for way in turned if way.arrives])
            made = list(self._measured(arriving[0], ways, corrected=False)) if arriving else []
            trail.reached.extend(made)
            if any(isinstance(each, Tried) and each.accurate for each in made):
                near = share
            else:
                far = share

    def _truest(self, ways: Sequence[Way]) -> list[Way]:
        """The ways by the noise in their outputs, the truest first; of the likely ones as they will be shipped."""
        if len(ways) <= 1 or not self.ground.cases:
            return list(ways)
        self.progress.stage("comparing ways into the budget", len(ways) + _LIKELY)
        ranked = self._ranked(ways, self.tuner.quick_noise)
        likely = [way for place, way in enumerate(ranked) if place < _LIKELY or way.is_single]
        return [*self._ranked(likely, self.tuner.noise), *(way for way in ranked if way not in likely)]

    def _ranked(self, ways: Sequence[Way], noise: Callable[[Recipe], float]) -> list[Way]:
        noises = []
        for way in ways:
            noises.append(noise(way.recipe))
            self.progress.advance()
        return [ways[place] for place in sorted(range(len(ways)), key=noises.__getitem__)]

    def _measured(
        self, way: Way, ways: Ways, budget: Budget = budget_of, *, corrected: bool = True
    ) -> Iterator[Tried | Impossible]:
        """What comes of a way; once more, and farther, where it takes more than was reckoned."""
        for _ in range(1 + _CORRECTIONS * corrected):
            self.progress.stage(f"trying {way.told}")
            made = self._tried(Rung(way.told, way.recipe, "rounding" if way.recipe.scheme in QUANTISING else "none"))
            yield made
            if isinstance(made, Impossible) or all(line.ok for line in budget(made)):
                return
            way = ways.again(way, Bounds.by(budget(made), way.cost).tightened())

    def _train(self, trail: _Trail) -> None:
        """What comes of training what fits and lost too much."""
        rung = training(trail.tried) if can_train(self.lessons) else None
        if rung is not None:
            self.progress.stage(f"nothing accurate fits: trying {rung.name}")
            trail.reached.append(self._tried(rung))

    def _tried(self, rung: Rung) -> Tried | Impossible:
        try:
            made = self.attempt(rung)
        except EdgefleetError as fault:
            return Impossible(rung, fault)
        assert made is not None, "only mixed rungs have nothing to try"
        return Tried(rung, made)


@dataclass(frozen=True)
class _Start:
    """Where ways begin.

    Attributes:
        tried: An artifact.
        ways: From its recipe.
        reckoned: What that costs.
    """

    tried: Tried
    ways: Ways
    reckoned: Cost


@dataclass(frozen=True)
class _Trail:
    """What was reached so far, and what was reckoned out of reach."""

    reached: list[Tried | Impossible]
    further: list[Step]

    @property
    def tried(self) -> list[Tried]:
        return [each for each in self.reached if isinstance(each, Tried)]


def _starts(climbed: Climb) -> list[Tried]:
    """Where ways begin: at what the ladder ships, and at what comes nearer to the limits, though with more loss."""
    closest = min(climbed.tried, key=excess)
    shipped = climbed.shipped
    return [shipped] if excess(closest) >= excess(shipped) * _CLEARLY else [shipped, closest]


def _left_out(way: Way) -> Step:
    """The line of a way that fits, and was not made."""
    return _reckoned(way, "not needed", "it fits, and others that do make less noise in the outputs")


def _out_of_reach(way: Way, bounds: Bounds) -> Step:
    """The line of a way that does not arrive: what the means come to at the most."""
    return _reckoned(way, "over budget", f"at the most it comes to {bounds.figures(way.cost)}")


def _reckoned(way: Way, outcome: Outcome, why: str) -> Step:
    return Step(
        rung=way.told,
        bytes=way.cost.flash,
        peak_ram_bytes=way.cost.ram or None,
        macs=way.cost.macs or None,
        outcome=outcome,
        why=f"reckoned, not made: {why}",
    )
