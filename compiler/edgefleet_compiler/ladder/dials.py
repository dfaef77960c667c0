"""What a means to make an artifact cost less is: it has one dial, which the search for a budget turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgefleet_compiler.checks.budget import Limit
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.ladder.costs import Reckoner
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.tensors import Sample
from edgefleet_hardware.profile import TargetProfile


@dataclass(frozen=True)
class Setting:
    """What a dial gives.

    Attributes:
        recipe: With the means applied, in the words of a recipe.
        told: How far it is applied, for people: a rung's name.
    """

    recipe: Recipe
    told: str


Dial = Callable[[float], Setting]
"""From 1, the mildest, to 0, the strongest there is; what is stronger costs no more."""


@dataclass(frozen=True)
class Ground:
    """What dials are made of.

    Attributes:
        hubs: Makes hubs, and has seen the calibration set.
        cases: Some dozens of typical cases.
        reckoner: Tells what recipes cost.
        profile: The target.
        progress: Told of what takes long.
    """

    hubs: HubMaker
    cases: Sequence[Sample]
    reckoner: Reckoner
    profile: TargetProfile
    progress: Progress


@dataclass(frozen=True)
class Means:
    """One way to make an artifact cost less.

    Attributes:
        name: For people.
        eases: Limits that it helps to keep.
        dial: Measures what the recipe's model loses by it, and makes a dial of that; None where the model, the recipe
            or the target does not take it. The limits are those that are to be eased.
        says_layers: Whether a setting only says how layers are quantised. What was measured of each layer then serves
            for fewer channels, too: measuring takes longer than anything else here.
    """

    name: str
    eases: frozenset[Limit]
    dial: Callable[[Recipe, Ground, Sequence[Limit]], Dial | None]
    says_layers: bool = False
