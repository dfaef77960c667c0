"""What a sweep tries: a first list of ideas, then ever finer ones beside the front.

Both hang on the request and on results alone, never on the clock, on the number of workers or on their order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product, zip_longest

import msgspec

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe import Rung, Scheme, rungs_for
from edgefleet_compiler.source import Source
from edgefleet_compiler.sweep.record import Idea
from edgefleet_contract.errors import GateError, InputError, RecipeUnfit
from edgefleet_hardware.profile import TargetProfile

_ALWAYS: tuple[Scheme, ...] = ("weight-only", "fp16", "float")
_TIMED = "mixed-fast"
_INTEGER = ("int8", "int8-refined")

_FOUR_BITS = (1.0, 0.5, 0.75, 0.25)
_PRUNED = (1 / 8, 1 / 4, 1 / 16, 1 / 2, 3 / 8)
_LOW_RANK = (1 / 8, 1 / 4, 1 / 16, 1 / 2)
_BOTH = ((1 / 8, 1.0), (1 / 4, 1.0), (1 / 16, 1.0), (1 / 2, 1.0))
"""Pruned or low rank, and 4-bit weights."""

_COARSEST, _FINEST = 1 / 8, 1 / 64
_TOP = {"four_bits": 1.0, "prune": 7 / 8, "low_rank": 7 / 8}


@dataclass(frozen=True)
class Scope:
    """What there is to choose from.

    Attributes:
        rungs: Names of the rungs that the target runs.
        axes: Fields of ``Idea`` that can be set, with the rungs that take them.
    """

    rungs: tuple[str, ...]
    axes: dict[str, tuple[str, ...]]


def sweep_rungs(options: CompileOptions, profile: TargetProfile, source: Source) -> list[Rung]:
    """The rungs of the ladder, and beside them what the ladder leaves out because it rarely serves best.

    Rungs that the clock of this host decides are left out: another run would give another recipe.

    Raises:
        RecipeUnfit: The target runs nothing of this model, or the source is quantised already.
    """
    if source.quantised is not None:
        raise RecipeUnfit(
            "The source is quantised already: its integers stay as they are, and there is nothing to choose from",
            expected="the float model that it was made from",
        )
    ladder = rungs_for(options, profile)
    known = {rung.recipe.scheme for rung in ladder}
    return [
        *(rung for rung in ladder if rung.name != _TIMED),
        *chain.from_iterable(_alone(scheme, options, profile) for scheme in _ALWAYS if scheme not in known),
    ]


def _alone(scheme: Scheme, options: CompileOptions, profile: TargetProfile) -> list[Rung]:
    try:
        return rungs_for(replace(options, recipe=scheme), profile)
    except (GateError, InputError):
        return []  # the target does not run it, or not with such inputs and outputs


def scope_of(rungs: Sequence[Rung], *, calibrated: bool) -> Scope:
    """What can be chosen for a target.

    Args:
        rungs: From ``sweep_rungs``.
        calibrated: Whether there is a calibration set.
    """
    names = tuple(rung.name for rung in rungs)
    integers = tuple(name for name in _INTEGER if name in names)
    if not calibrated:
        return Scope(names, {})
    return Scope(names, {"four_bits": integers, "prune": integers or names, "low_rank": integers or names})


def first_ideas(scope: Scope) -> list[Idea]:
    """The first list: rungs and shares of each axis in turns, then two axes together; what serves most comes early."""
    rungs = [Idea(rung=name) for name in scope.rungs]
    if "weight-only" in scope.rungs:
        rungs.append(Idea(rung="weight-only", four_bits=1.0))
    alone = [
        [Idea(rung=rung, **{axis: share}) for share in shares for rung in scope.axes.get(axis, ())[:1]]
        for axis, shares in (("four_bits", _FOUR_BITS), ("prune", _PRUNED), ("low_rank", _LOW_RANK))
    ]
    both = [
        [
            Idea(rung=rung, four_bits=narrow, **{axis: taken})
            for taken, narrow in _BOTH
            for rung in scope.axes.get(axis, ())[:1]
            if rung in scope.axes.get("four_bits", ())
        ]
        for axis in ("prune", "low_rank")
    ]
    return [*_in_turns([rungs, *alone]), *_in_turns(both)]


def finer_ideas(scope: Scope, front: Sequence[Idea], known: Collection[Idea]) -> list[Idea]:
    """Ideas beside the front, at the coarsest step at which there is one that is not known yet.

    Args:
        scope: What there is to choose from.
        front: Ideas of the front, in its order.
        known: Ideas that were evaluated.

    Returns:
        The first neighbour of every point, then the second, and so on; empty where none is left.
    """
    step = _COARSEST
    while step >= _FINEST:
        around = _in_turns([list(_neighbours(scope, idea, step)) for idea in front])
        if fresh := [idea for idea in dict.fromkeys(around) if idea not in known]:
            return fresh
        step /= 2
    return []


def _neighbours(scope: Scope, idea: Idea, step: float) -> Iterator[Idea]:
    """Ideas that differ in one axis by one step, either way."""
    for (axis, rungs), way in product(scope.axes.items(), (1, -1)):
        share = getattr(idea, axis) + way * step
        if idea.rung in rungs and 0 <= share <= _TOP[axis]:
            yield msgspec.structs.replace(idea, **{axis: share})


def _in_turns(lists: Sequence[Sequence[Idea]]) -> list[Idea]:
    """The first of each list, then the second of each."""
    return [idea for turn in zip_longest(*lists) for idea in turn if idea is not None]
