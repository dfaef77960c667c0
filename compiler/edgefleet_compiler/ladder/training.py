"""The last means into a budget: what fits but lost too much is trained, where there is enough to train it on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from edgefleet_compiler.compress.settings import Compression, Finetuning
from edgefleet_compiler.ladder.best import keeps_limits, nearest
from edgefleet_compiler.ladder.tried import Tried
from edgefleet_compiler.recipe import Recipe, Rung
from edgefleet_compiler.recipe.form import QUANTISING
from edgefleet_compiler.tensorflow_child import has_tensorflow

FEWEST_LESSONS: Final = 1_000
"""Cases of a calibration set that a search trains on: a few hundred are known by heart before anything general is
learnt, and what was learnt by heart looks better here than it is."""


def can_train(lessons: int) -> bool:
    """Whether a calibration set of so many cases is enough, and TensorFlow installed."""
    return lessons >= FEWEST_LESSONS and has_tensorflow()


def training(tried: Sequence[Tried]) -> Rung | None:
    """The rung that trains the most accurate of what keeps every limit.

    Only what has fewer channels or lower ranks learns anything from the source: rounding comes after training.

    Returns:
        None where there is none.
    """
    within = [each for each in tried if keeps_limits(each) and _lacks_something(each.attempt.artifact.recipe)]
    if not within:
        return None
    near = nearest(within)
    recipe = near.attempt.artifact.recipe
    trained = replace(recipe, compress=replace(recipe.compress or Compression(), finetune=Finetuning()))
    return Rung(f"{near.rung.name}, fine-tuned", trained, "rounding" if recipe.scheme in QUANTISING else "none")


def is_trained(recipe: Recipe) -> bool:
    """Whether a recipe trains anything."""
    return recipe.compress is not None and recipe.compress.finetune is not None


def _lacks_something(recipe: Recipe) -> bool:
    compress = recipe.compress
    return compress is not None and (compress.prune is not None or bool(compress.low_rank))
