"""Recipes: what is done to a model for one target. Asked for by a name or a file, written back as what was done.

A written ``recipe.toml`` is explicit: it leaves nothing to a default or to a measurement, so that the same source,
data, seed and versions give the same bytes again.
"""

from edgefleet_compiler.recipe.choice import check_recipe, rungs_for
from edgefleet_compiler.recipe.form import Io, IoLayout, Recipe, Scheme
from edgefleet_compiler.recipe.rungs import Rung

__all__ = ["Io", "IoLayout", "Recipe", "Rung", "Scheme", "check_recipe", "rungs_for"]
