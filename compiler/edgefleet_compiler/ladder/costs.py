"""What an artifact of a recipe will cost, before it is made with care: and the bounds that a budget sets to that.

Bytes, memory and work of an artifact hang on shapes and types, hardly on values. So they are reckoned of an artifact
that is made by one random case, in tenths of a second: nothing is rounded with care, refitted or trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from msgspec.structs import replace

from edgefleet_compiler.artifact import Workbench
from edgefleet_compiler.checks.budget import BudgetLine, Limit, label, plain
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.data.evaluation import random_set
from edgefleet_compiler.memory.runtimes import peak_memory
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import Source
from edgefleet_hardware.profile import TargetProfile

_CASES = 4  # their values decide scales, which take the same bytes whatever they are
_A_LITTLE = 0.995


@dataclass(frozen=True)
class Cost:
    """What an artifact takes.

    Attributes:
        flash: Bytes of the file.
        ram: Bytes of working memory at its peak; 0 where no planner takes the model.
        macs: Multiply-accumulates of one inference; 0 where they cannot be counted.
    """

    flash: int
    ram: int
    macs: int

    def of(self, limit: Limit) -> int:
        """What a limit is about; work stands for time."""
        return {"flash": self.flash, "ram": self.ram, "latency_ms": self.macs}[limit]


class Reckoner:
    """Reckons what artifacts of one source cost.

    Args:
        source: The model.
    """

    def __init__(self, source: Source) -> None:
        self._bench = Workbench(source, random_set(source.inputs, 0, cases=_CASES), Silent())
        self._known: dict[tuple[str, str], Cost] = {}

    def cost(self, recipe: Recipe, profile: TargetProfile) -> Cost:
        """What an artifact of a recipe takes of a target.

        Raises:
            GateError: No artifact can be made.
        """
        plain = _plain(recipe)
        key = (plain.to_toml(), profile.name)
        if key not in self._known:
            runtime = profile.runtime_for(recipe.format)
            artifact = self._bench.build(plain, max_opset=runtime.max_opset)
            lowered = artifact.exported.lowered
            ram = 0 if lowered is None else peak_memory(lowered, runtime, profile).bytes
            self._known[key] = Cost(len(artifact.data), ram, artifact.exported.macs or 0)
        return self._known[key]


@dataclass(frozen=True)
class Bounds:
    """What artifacts may cost as they are reckoned.

    Attributes:
        most: By limit; limits that nobody set are not there.
        units: What a limit is in, for each unit that is reckoned in.
    """

    most: dict[Limit, float]
    units: dict[Limit, float]

    @staticmethod
    def by(budget: Sequence[BudgetLine], cost: Cost) -> Bounds:
        """Bounds for what is reckoned, by an artifact that was measured.

        Args:
            budget: Limits, and what was measured of the artifact.
            cost: What was reckoned of it. What it was off by, others are taken to be off by, too.
        """
        values = {line.name: line.value for line in budget if line.value and cost.of(line.name)}
        units = {limit: value / cost.of(limit) for limit, value in values.items()}
        limits = {name: min(line.limit for line in budget if line.name == name) for name in values}
        return Bounds({name: limit / units[name] for name, limit in limits.items()}, units)

    def excess(self, cost: Cost) -> float:
        """How many times more is taken than allowed, of the limit that is farthest from being kept; 1 or less fits."""
        return max((cost.of(limit) / most if most else inf for limit, most in self.most.items()), default=0.0)

    def keep(self, cost: Cost) -> bool:
        """Whether everything is kept."""
        return self.excess(cost) <= 1

    def broken(self, cost: Cost) -> list[Limit]:
        """Limits that are not kept."""
        return [limit for limit, most in self.most.items() if cost.of(limit) > most]

    def part_of_the_way(self, cost: Cost, share: float) -> Bounds:
        """Bounds between a cost and these: 0 is at the cost, 1 is here; equal shares save equal ratios."""
        most = {limit: most * max(1.0, cost.of(limit) / most) ** (1 - share) for limit, most in self.most.items()}
        return Bounds(most, self.units)

    def tightened(self) -> Bounds:
        """A little less of everything."""
        return Bounds({limit: most * _A_LITTLE for limit, most in self.most.items()}, self.units)

    def figures(self, cost: Cost) -> str:
        """The limits that are not kept, in their own units, for people."""
        told = [
            f"{label(limit)} {plain(limit, cost.of(limit) * unit)} of {plain(limit, self.most[limit] * unit)}"
            for limit, unit in self.units.items()
            if limit in self.broken(cost)
        ]
        return " and ".join(told)


def _plain(recipe: Recipe) -> Recipe:
    """The recipe without all that changes only values."""
    quantise, compress = recipe.quantise, recipe.compress
    if quantise is not None:
        quantise = replace(
            quantise, calibration="min-max", rounding="nearest", equalise="none", bias_correction=False, ranges={}
        )
    return replace(recipe, quantise=quantise, compress=None if compress is None else _plainly(compress))


def _plainly(compress: Compression) -> Compression:
    prune = compress.prune
    plain_prune = None if prune is None else replace(prune, saliency="magnitude", refit=False)
    return replace(compress, prune=plain_prune, finetune=None)
