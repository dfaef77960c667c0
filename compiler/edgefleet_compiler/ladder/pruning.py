"""A means: fewer channels, of the groups that lose the outputs least by it for what a limit gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from edgefleet_compiler.checks.budget import Limit
from edgefleet_compiler.compress.channels.choose import ChannelChooser
from edgefleet_compiler.compress.channels.costs import Resource
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.keeping import SCHEME
from edgefleet_compiler.ladder.dials import Dial, Ground, Setting
from edgefleet_compiler.recipe import Recipe

_RESOURCES: Final[dict[Limit, Resource]] = {"ram": "peak", "flash": "bytes", "latency_ms": "macs"}
"""What channels are chosen by; where several limits are broken, by the first of these."""


def pruning(recipe: Recipe, ground: Ground, limits: Sequence[Limit]) -> Dial | None:
    """The dial: how many of the channels that could go stay.

    Args:
        recipe: Not of a source that came quantised, and not pruned yet; None comes of others.
        ground: What is measured on.
        limits: What is broken.
    """
    if recipe.scheme == SCHEME or (recipe.compress is not None and recipe.compress.prune is not None):
        return None
    by = next(resource for limit, resource in _RESOURCES.items() if limit in limits)
    chooser = ChannelChooser(ground.hubs.base(recipe), ground.hubs.plenty, progress=ground.progress)
    prunings = chooser.by_strength(by)
    if not prunings:
        return None

    def dial(mildness: float) -> Setting:
        place = round((1 - mildness) * (len(prunings) - 1))
        compress = replace(recipe.compress or Compression(), prune=prunings[place])
        return Setting(replace(recipe, compress=compress), f"channels -{place + 1}/{len(prunings)}")

    return dial
