"""A means: layers of lower rank, those that lose the outputs least by it for the bytes or the work that it saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from edgefleet_compiler.checks.budget import Limit
from edgefleet_compiler.compress.low_rank.choose import RankChooser, Resource
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.keeping import SCHEME
from edgefleet_compiler.ladder.dials import Dial, Ground, Setting
from edgefleet_compiler.recipe import Recipe

_RESOURCES: Final[dict[Limit, Resource]] = {"flash": "bytes", "latency_ms": "macs"}
"""What layers are chosen by; where both limits are broken, by the first."""

_ALL = 1 - 1e-9  # of what can be saved, whatever sums of floats say


def ranking(recipe: Recipe, ground: Ground, limits: Sequence[Limit]) -> Dial | None:
    """The dial: how much of what low ranks can save is left unsaved.

    Args:
        recipe: Not of a source that came quantised, and without low ranks yet; None comes of others.
        ground: What is measured on.
        limits: What is broken.
    """
    if recipe.scheme == SCHEME or (recipe.compress is not None and recipe.compress.low_rank):
        return None
    by = next(resource for limit, resource in _RESOURCES.items() if limit in limits)
    chooser = RankChooser(ground.hubs.base(recipe), ground.hubs.typical, progress=ground.progress)
    most = chooser.most(by)
    if not most > 0:
        return None

    def dial(mildness: float) -> Setting:
        factors = chooser.choose((1 - mildness) * most * _ALL, by)
        return Setting(_factored(recipe, factors), f"low rank {len(factors)}/{len(chooser.options)}")

    return dial


def _factored(recipe: Recipe, factors: dict[str, str]) -> Recipe:
    """With these layers factored: what was said of them alone is said of nothing that there is now."""
    compress = replace(recipe.compress or Compression(), low_rank=factors)
    if recipe.quantise is None:
        return replace(recipe, compress=compress)
    layers = {name: said for name, said in recipe.quantise.layers.items() if name not in factors}
    return replace(recipe, compress=compress, quantise=replace(recipe.quantise, layers=layers))
