"""A means: weights of 4 bits in the layers that lose the outputs least by it, as many as a file's bytes ask for."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from edgefleet_compiler.checks.budget import Limit
from edgefleet_compiler.checks.four_bits import layers_of_four_bits
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.ladder.dials import Dial, Ground, Setting
from edgefleet_compiler.quantise.search.narrowing import Narrower
from edgefleet_compiler.quantise.settings import Weights
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.tensors import Sample
from edgefleet_hardware.profile import TargetProfile

_TAKES = ("int8", "weight-only", "dynamic")


def narrowing(recipe: Recipe, ground: Ground, _: Sequence[Limit]) -> Dial | None:
    """The dial: how much of what 4-bit weights can save in bytes is left unsaved.

    Args:
        recipe: Of a scheme with integer weights; None comes of others, and where no layer takes 4 bits.
        ground: What is measured on, and the target.
    """
    if recipe.scheme not in _TAKES:
        return None
    narrower = narrower_for(recipe, ground.hubs, ground.profile, ground.cases)
    if narrower is None:
        return None

    def dial(mildness: float) -> Setting:
        layers = narrower.layers(int((1 - mildness) * narrower.most))
        assert layers is not None, "no more is to be saved than can be"
        four = sum(layers[name].weights == narrower.narrow for name in narrower.candidates)
        narrowed = recipe.with_settings(replace(recipe.settings, layers=layers))
        return Setting(narrowed, f"4-bit weights {four}/{len(narrower.candidates)}")

    return dial


def narrower_for(recipe: Recipe, hubs: HubMaker, profile: TargetProfile, cases: Sequence[Sample]) -> Narrower | None:
    """What chooses the layers of a recipe that get weights of 4 bits.

    Args:
        recipe: Of a scheme with integer weights.
        hubs: Makes hubs, and has seen the calibration set.
        profile: The target.
        cases: Some dozens of typical cases.

    Returns:
        None where nothing can be saved.
    """
    hub, settings = hubs.float_hub(recipe), recipe.settings
    in_sixteen = {name for name, said in settings.layers.items() if said.compute == "int16"}
    taken = layers_of_four_bits(hub, profile.runtime_for(recipe.format), settings.fully_connected) - in_sixteen
    if not taken:
        return None
    narrower = Narrower(
        hub,
        lambda given: hubs.nearest(recipe.with_settings(given)),
        settings,
        cases,
        narrow=narrow_weights(recipe),
        layers=taken,
    )
    return narrower if narrower.most else None


def narrow_weights(recipe: Recipe) -> Weights:
    """What weights of 4 bits are: of a palette where the format has them, which is the same bytes and less noise."""
    return "palette4" if recipe.format == "onnx" else "int4"
