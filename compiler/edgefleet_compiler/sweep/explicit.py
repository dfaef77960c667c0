"""From an idea to an explicit recipe: everything that it leaves open is measured, and written down."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from msgspec.structs import replace

from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.ladder.narrowing import narrow_weights, narrower_for
from edgefleet_compiler.ladder.tuner import Tuner
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import Recipe, Rung
from edgefleet_compiler.recipe.form import STATIC
from edgefleet_compiler.source import Source
from edgefleet_compiler.sweep.plan import sweep_rungs
from edgefleet_compiler.sweep.record import Idea
from edgefleet_contract.errors import RecipeUnfit
from edgefleet_hardware.profile import TargetProfile


@dataclass(frozen=True)
class Explicit:
    """Makes ideas explicit for one source and target.

    Attributes:
        options: The request.
        source: The model.
        profile: The target.
        hubs: Makes hubs of the source, and has seen its calibration set.
        progress: Told of what takes long.
    """

    options: CompileOptions
    source: Source
    profile: TargetProfile
    hubs: HubMaker
    progress: Progress

    def recipe(self, idea: Idea, compression: Compression | None) -> Recipe:
        """The recipe of an idea.

        Args:
            idea: What to make explicit.
            compression: What it takes away of the model first, which is explicit already; None for nothing.

        Raises:
            RecipeUnfit: The model or the target does not take it, or it changes nothing.
            DataMalformed: A case of the calibration set cannot be used.
        """
        tuner, rung = Tuner(self.source, self.hubs, self.progress), self._rung(idea, compression)
        if not idea.four_bits:
            return self._tuned(tuner, rung, idea)
        if rung.recipe.scheme not in STATIC:
            narrow = rung.recipe.with_settings(replace(rung.recipe.settings, weights=narrow_weights(rung.recipe)))
            return self._tuned(tuner, dataclasses.replace(rung, recipe=narrow), idea)
        eight = self._tuned(tuner, rung, idea)
        return self._tuned(tuner, Rung(rung.name, self._narrowed(eight, tuner, idea), "rounding"), idea)

    def _rung(self, idea: Idea, compression: Compression | None) -> Rung:
        """The rung of an idea, with what is taken away of the model first."""
        named = (rung for rung in sweep_rungs(self.options, self.profile, self.source) if rung.name == idea.rung)
        rung = next(named)
        return dataclasses.replace(rung, recipe=replace(rung.recipe, compress=compression))

    def _narrowed(self, recipe: Recipe, tuner: Tuner, idea: Idea) -> Recipe:
        """With 4-bit weights where they cost the outputs least."""
        narrower = narrower_for(recipe, self.hubs, self.profile, tuner.cases)
        layers = None if narrower is None else narrower.layers(int(idea.four_bits * narrower.most))
        if layers is None:
            raise RecipeUnfit("No layer of the model has weights that could be stored in 4 bits")
        return recipe.with_settings(replace(recipe.settings, layers=layers))

    def _tuned(self, tuner: Tuner, rung: Rung, idea: Idea) -> Recipe:
        recipe = tuner.explicit(rung, self.profile, {})
        if recipe is None:
            raise RecipeUnfit(f"{idea.name!r} changes nothing of this model that is worth it")
        return recipe
