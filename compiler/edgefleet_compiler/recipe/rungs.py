"""Rungs: the ways to make a model small that ``--recipe auto`` tries for a target, from the smallest artifact up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

from edgefleet_compiler.recipe.form import IoLayout, Recipe
from edgefleet_hardware.profile import Format

RungName = Literal["int8", "int8-refined", "mixed-fast", "dynamic", "mixed", "int16x8", "weight-only", "fp16", "float"]
Tuning = Literal["none", "quick", "thorough", "mixed", "fast", "rounding"]

RUNGS: tuple[RungName, ...] = get_args(RungName)
"""int8: ranges chosen quickly, by what they do to the output; int8-refined: by a longer search, with the
rounding that does best and bias correction, for the same bytes and speed; mixed-fast: the layers that int8 makes slower
than float stay in float, where the clock says that the whole is; mixed: the layers that cost the output most
in more bits or in float; the others are schemes, those with integer weights rounded and corrected like int8-refined."""


@dataclass(frozen=True)
class Rung:
    """One recipe to try, and what is to be measured before it is explicit.

    Attributes:
        name: For people.
        recipe: With the settings that the target's kernels ask for.
        tuning: How the other settings are found; "none" leaves the recipe as it is.
        deferred: Whether it is tried only if the rungs before it lost too much accuracy, or speed.
        gain_db: By how much "mixed" is to raise the signal to noise ratio; 0 for others.
    """

    name: str
    recipe: Recipe
    tuning: Tuning = "none"
    deferred: bool = False
    gain_db: float = 0.0


class LadderFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """A recipe file that asks for ``auto`` with rungs of the user's choice.

    Attributes:
        version: Of this form.
        scheme: Tells it from an explicit recipe.
        rungs: Names, in any order; they are tried from the smallest artifact up.
        format: Of the artifact; None for the target's.
        io: Of the artifact; None for the target's.
        io_layout: Of the artifact; None for the source's.
        seed: Of everything random; None is 0.
    """

    version: Literal[1] = 1
    scheme: Literal["auto"]
    rungs: list[RungName]
    format: Format | None = None
    io: Literal["float", "int8"] | None = None
    io_layout: IoLayout | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check that there is something to try.

        Raises:
            ValueError: There is not; msgspec makes a ``ValidationError`` of it.
        """
        if not self.rungs:
            raise ValueError("the list 'rungs' is empty")
