"""The last means into a budget: what fits but lost too much is trained, where there is enough to train it on."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from edgefleet_compiler.compress.settings import Compression, Finetuning
from edgefleet_compiler.keeping import SCHEME
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


def training(tried: Tried) -> Rung | None:
    """The rung that trains what was tried; None where that cannot be: of a source that came quantised."""
    recipe = tried.attempt.artifact.recipe
    if recipe.scheme == SCHEME:
        return None
    trained = replace(recipe, compress=replace(recipe.compress or Compression(), finetune=Finetuning()))
    return Rung(f"{tried.rung.name}, fine-tuned", trained, "rounding" if recipe.scheme in QUANTISING else "none")


def is_trained(recipe: Recipe) -> bool:
    """Whether a recipe trains anything."""
    return recipe.compress is not None and recipe.compress.finetune is not None
