"""What training rounds like, of what a request or a recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from edgefleet_compiler.finetune.messages import Quantiser, Rounding
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe.file import read_recipe
from edgefleet_compiler.recipe.form import Recipe
from edgefleet_contract.errors import RecipeMalformed

_SCHEMES: tuple[Rounding, ...] = get_args(Rounding)


def quantiser_of(recipe: str) -> Quantiser:
    """The quantiser of a scheme, or of a recipe file.

    Args:
        recipe: "int8", "int16x8", "weight-only", or the path of a ``.toml`` file.

    Raises:
        RecipeMalformed: It is none of these, or of a scheme that rounds nothing while it is made.
    """
    if recipe.endswith(".toml"):
        written = read_recipe(Path(recipe), CompileOptions(Path(), (), Path()))
        if not isinstance(written, Recipe):
            raise _refused(f"The recipe {recipe!r} is a ladder")
        if written.compress is not None:
            raise RecipeMalformed(
                f"The recipe {recipe!r} has a table [compress], which would be applied again to the tuned model",
                expected="a recipe of the quantiser alone",
                remedy="Take the table out of the recipe, and give --prune here.",
            )
        settings = written.quantise or Settings()
        scheme: str = written.scheme
    else:
        scheme, settings = recipe, Settings()
    for known in _SCHEMES:
        if scheme == known:
            return Quantiser(known, settings)
    raise _refused(
        f"The recipe is {recipe!r}" if recipe == scheme else f"The recipe {recipe!r} has the scheme {scheme}"
    )


def _refused(seen: str) -> RecipeMalformed:
    return RecipeMalformed(
        seen,
        expected=f"one of {', '.join(_SCHEMES)}, or a recipe file of such a scheme",
        remedy="Leave --recipe out to train in float.",
    )
