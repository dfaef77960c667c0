"""Reading recipe files: explicit recipes, and ladders of one's own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe.form import Recipe
from edgefleet_compiler.recipe.rungs import RUNGS, LadderFile
from edgefleet_contract.errors import RecipeMalformed, UsageMalformed
from edgefleet_hardware.toml_faults import is_of_keys, plain_fault, required_keys

_RECIPE_LIMIT = 1024 * 1024  # bytes; ranges of a net with a thousand activations take about 60,000


def read_recipe(path: Path, options: CompileOptions) -> Recipe | LadderFile:
    """Read a recipe file.

    Args:
        path: A ``.toml`` file.
        options: What else was asked for.

    Raises:
        RecipeMalformed: It is no readable recipe.
        UsageMalformed: Options that contradict it.
    """
    entries = _parse(path)
    form: type[Recipe | LadderFile] = LadderFile if entries.get("scheme") == "auto" else Recipe
    try:
        recipe = msgspec.convert(entries, form)
    except (msgspec.ValidationError, RecursionError) as cause:
        raise RecipeMalformed(
            f"The recipe {str(path)!r} cannot be read: {plain_fault(cause, entries, form)}",
            expected=_expected(cause, form),
        ) from cause
    if isinstance(recipe, Recipe):
        _check_takes_something(path, recipe)
    asked = {"format": options.format, "io": options.io, "io_layout": options.io_layout, "seed": options.seed}
    for option, value in asked.items():
        said = getattr(recipe, option)
        if value is not None and said is not None and value != said:
            raise UsageMalformed(
                f"--{option.replace('_', '-')} is {value!r}, and the recipe says {said!r}",
                remedy="Leave the option out, or change the recipe.",
            )
    return recipe


def _expected(cause: Exception, form: type[Recipe | LadderFile]) -> str:
    """What a recipe needs, where keys of it are at fault; nothing where the fault is in one value."""
    if form is LadderFile:
        return f'scheme = "auto" and rungs, some of {", ".join(RUNGS)}'
    if not is_of_keys(cause):
        return ""
    return f"the keys {required_keys(Recipe)}, as in a recipe.toml that edgefleet wrote"


def _check_takes_something(path: Path, recipe: Recipe) -> None:
    """Refuse tables of a compression that say nothing."""
    compress = recipe.compress
    if compress is not None and compress.prune is not None and not compress.prune.keep:
        raise RecipeMalformed(
            f"The table [compress.prune] of the recipe {str(path)!r} names no group, and would take nothing away",
            expected="[compress.prune.keep] with groups and the channels that stay of each",
            remedy="Name groups there, or take the table out and let --prune RATIO choose them.",
        )
    if compress is not None and compress.prune is None and not compress.low_rank and compress.finetune is None:
        raise RecipeMalformed(
            f"The table [compress] of the recipe {str(path)!r} is empty, and would take nothing away",
            expected="[compress.prune.keep], [compress.low-rank] or [compress.finetune] in it",
            remedy="Add one of them, or take the table out; --prune RATIO chooses channels by itself.",
        )


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_RECIPE_LIMIT + 1)
        if len(text) > _RECIPE_LIMIT:
            raise RecipeMalformed(f"The recipe {str(path)!r} is too long", expected=f"at most {_RECIPE_LIMIT} bytes")
        return tomllib.loads(text.decode())
    except OSError as cause:
        raise RecipeMalformed(f"The recipe {str(path)!r} cannot be read: {cause.strerror}") from cause
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as cause:
        raise RecipeMalformed(
            f"The recipe {str(path)!r} cannot be read: {plain_fault(cause)}",
            expected="a recipe.toml that edgefleet wrote",
        ) from cause
