"""Reading recipe files."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe.form import Recipe
from edgefleet_contract.errors import RecipeMalformed, UsageMalformed
from edgefleet_hardware.toml_faults import plain_fault

_RECIPE_LIMIT = 1024 * 1024  # bytes; ranges of a net with a thousand activations take about 60,000


def read_recipe(path: Path, options: CompileOptions) -> Recipe:
    """Read a recipe file.

    Args:
        path: A ``.toml`` file.
        options: What else was asked for.

    Raises:
        RecipeMalformed: It is no readable recipe.
        UsageMalformed: Options that contradict it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_RECIPE_LIMIT + 1)
        if len(text) > _RECIPE_LIMIT:
            raise RecipeMalformed(f"The recipe {str(path)!r} is too long", expected=f"at most {_RECIPE_LIMIT} bytes")
        recipe = msgspec.convert(tomllib.loads(text.decode()), Recipe)
    except OSError as cause:
        raise RecipeMalformed(f"The recipe {str(path)!r} cannot be read: {cause.strerror}") from cause
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as cause:
        raise RecipeMalformed(
            f"The recipe {str(path)!r} cannot be read: {plain_fault(cause)}",
            expected="a recipe.toml that edgefleet wrote",
        ) from cause
    asked = {"format": options.format, "io": options.io, "io_layout": options.io_layout, "seed": options.seed}
    for option, value in asked.items():
        if value is not None and value != getattr(recipe, option):
            raise UsageMalformed(
                f"--{option.replace('_', '-')} is {value!r}, and the recipe says {getattr(recipe, option)!r}",
                remedy="Leave the option out, or change the recipe.",
            )
    return recipe
