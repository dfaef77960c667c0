"""Ways into a budget: means, each turned as far as it has to be and no further, alone and two or three together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgefleet_compiler.checks.budget import Limit
from edgefleet_compiler.ladder.costs import Bounds, Cost
from edgefleet_compiler.ladder.dials import Dial, Ground, Means, Setting
from edgefleet_compiler.recipe import Recipe
from edgefleet_contract.errors import GateError

_HALVINGS = 9  # of the dial: below a thousandth of what a means can do
_SHARES = (0.4, 0.8)  # of the way into the budget that the first of several means goes
_BESIDE = 0.2  # how far the shares lie that are looked at where one of these does best


@dataclass(frozen=True)
class Way:
    """One way, as far as it is to go.

    Attributes:
        recipe: With the means applied.
        told: For people.
        cost: As it was reckoned.
        arrives: Whether that is within the bounds; if not, the means can do no more.
        dial: Of the last of the means; None where nothing is applied.
        before: What was applied before that, for people.
        mix: The two means that are applied, and the share of the way that the first goes; None for another number.
    """

    recipe: Recipe
    told: str
    cost: Cost
    arrives: bool
    dial: Dial | None = None
    before: str = ""
    mix: tuple[Means, Means, float] | None = None

    @property
    def is_single(self) -> bool:
        """Whether one means alone is applied."""
        return self.dial is not None and not self.before


class Ways:
    """Finds ways from one recipe.

    Args:
        recipe: Explicit, with the costs that are to be lowered.
        means: In the order in which several are applied.
        ground: What their dials are made of.
    """

    def __init__(self, recipe: Recipe, means: Sequence[Means], ground: Ground) -> None:
        self._recipe = recipe
        self._means = means
        self._ground = ground
        self._dials: dict[tuple[str, str, tuple[Limit, ...]], Dial | None] = {}

    def into(self, bounds: Bounds) -> list[Way]:
        """The ways: each means alone, the gentlest first; then pairs; all together only where nothing else arrives."""
        start = self._cost(self._recipe)
        limits = bounds.broken(start)
        useful = [means for means in self._means if means.eases.intersection(limits)]
        here = Way(self._recipe, "", start, arrives=False)
        alone = [way for means in reversed(useful) for way in self._on(here, means, bounds)]
        pairs = [
            way
            for place, first in enumerate(useful)
            for second in useful[place + 1 :]
            for share in _SHARES
            for way in self._mixed(first, second, share, bounds)
        ]
        found = _distinct([*alone, *pairs])
        if not any(way.arrives for way in found) and len(useful) > 1:
            found = _distinct([*found, self._everything(here, useful, bounds)])
        return found

    def beside(self, way: Way, bounds: Bounds) -> list[Way]:
        """Of a pair those that arrive by the same means, of which the first goes a little less or more of the way."""
        if way.mix is None:
            return []
        first, second, share = way.mix
        shares = [each for each in (share - _BESIDE, share + _BESIDE) if 0 < each < 1]
        mixed = [other for each in shares for other in self._mixed(first, second, each, bounds)]
        return [other for other in mixed if other.arrives]

    def _mixed(self, first: Means, second: Means, share: float, bounds: Bounds) -> Iterator[Way]:
        """By one means a share of the way, by another the rest."""
        start = self._cost(self._recipe)
        here = Way(self._recipe, "", start, arrives=False)
        for half in self._on(here, first, bounds.part_of_the_way(start, share)):
            if half.arrives:
                for way in self._on(half, second, bounds):
                    yield replace(way, mix=(first, second, share))

    def _everything(self, way: Way, means: Sequence[Means], bounds: Bounds) -> Way:
        """By every means as far as it goes; the last that is needed only as far as it has to."""
        for each in means:
            way = next(self._on(way, each, bounds), way)
            if way.arrives:
                break
        return way

    def _on(self, way: Way, means: Means, bounds: Bounds) -> Iterator[Way]:
        """On from where a way ends, by one means; nothing where that has no dial for it."""
        limits = bounds.broken(way.cost)
        if not means.eases.intersection(limits):
            return
        if means.says_layers and _layers_of(way.recipe) == _layers_of(self._recipe):
            dial = _moved(self._dial(self._recipe, means, limits), way.recipe)
        else:
            dial = self._dial(way.recipe, means, limits)
        if dial is not None:
            yield self._turned(dial, way.told, bounds)

    def _dial(self, recipe: Recipe, means: Means, limits: Sequence[Limit]) -> Dial | None:
        key = (means.name, recipe.to_toml(), tuple(limit for limit in limits if limit in means.eases))
        if key not in self._dials:
            try:
                self._dials[key] = means.dial(recipe, self._ground, limits)
            except GateError:
                self._dials[key] = None  # the model has parts that the means does not take
        return self._dials[key]

    def likewise(self, way: Way, bounds: Bounds) -> list[Way]:
        """The same means within other bounds: of a pair both are turned anew, by the share that it has."""
        return [self.again(way, bounds)] if way.mix is None else list(self._mixed(*way.mix, bounds))

    def again(self, way: Way, bounds: Bounds) -> Way:
        """The same means within other bounds: the last of them is turned anew."""
        return way if way.dial is None else self._turned(way.dial, way.before, bounds)

    def _turned(self, dial: Dial, before: str, bounds: Bounds) -> Way:
        """The mildest setting within the bounds; the strongest where none is."""
        low, high = 0.0, 1.0
        best = self._way(dial, low, before, bounds)
        if not best.arrives:
            return best
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            tried = self._way(dial, middle, before, bounds)
            if tried.arrives:
                best, low = tried, middle
            else:
                high = middle
        return best

    def _way(self, dial: Dial, mildness: float, before: str, bounds: Bounds) -> Way:
        setting = dial(mildness)
        cost = self._cost(setting.recipe)
        told = ", ".join(filter(None, (before, setting.told)))
        return Way(setting.recipe, told, cost, bounds.keep(cost), dial, before)

    def _cost(self, recipe: Recipe) -> Cost:
        return self._ground.reckoner.cost(recipe, self._ground.profile)


def _layers_of(recipe: Recipe) -> tuple[object, ...]:
    """What decides which layers there are, and how each is quantised: how many channels they have does not."""
    return ({} if recipe.compress is None else recipe.compress.low_rank, recipe.quantise)


def _moved(dial: Dial | None, recipe: Recipe) -> Dial | None:
    """A dial that says something of layers, for another recipe with the same layers."""
    if dial is None:
        return None

    def moved(mildness: float) -> Setting:
        setting = dial(mildness)
        return Setting(recipe.with_settings(setting.recipe.settings), setting.told)

    return moved


def _distinct(ways: Sequence[Way]) -> list[Way]:
    """Each recipe once."""
    return list({way.recipe.to_toml(): way for way in reversed(ways)}.values())[::-1]
