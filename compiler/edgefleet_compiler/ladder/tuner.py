"""The tuner: finds by measurement what a rung leaves open, and says it in the words of a recipe."""

from __future__ import annotations

import dataclasses
from typing import get_args

from msgspec.structs import replace

from edgefleet_compiler.benchmark.layer_times import Times
from edgefleet_compiler.compress.settings import Compression, Pruning
from edgefleet_compiler.hubs import BaseKey, HubKey, HubMaker, base_key, hub_key
from edgefleet_compiler.ladder.hastening import hastened
from edgefleet_compiler.ladder.mixing import Mixer
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.quantise.equalise import needs_equalising
from edgefleet_compiler.quantise.search.ranges import QUICK, THOROUGH, Effort, choose_ranges, with_ranges
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.settings import Compute, Equalised, Rounding, Settings
from edgefleet_compiler.recipe import Io, Recipe, Rung
from edgefleet_compiler.recipe.form import QUANTISING
from edgefleet_compiler.source import Source
from edgefleet_compiler.tensors import Sample
from edgefleet_hardware.profile import TargetProfile

_FEWEST_CASES = 2


class Tuner:
    """Makes recipes explicit for one source model.

    Args:
        source: The model.
        hubs: Makes hubs of it, and has seen its calibration set.
        progress: Told of what takes long.
        prune: The share of the multiply-accumulates that goes with channels first; None for none.
    """

    def __init__(self, source: Source, hubs: HubMaker, progress: Progress, *, prune: float | None = None) -> None:
        self._source = source
        self._hubs = hubs
        self._progress = progress
        self._prune = prune
        self._pruning: Pruning | None = None
        self._ranges: dict[tuple[BaseKey, Equalised, bool], dict[str, str]] = {}
        self._refined: dict[HubKey, Settings] = {}
        self._noises: dict[HubKey, float] = {}
        self._mixers: dict[tuple[HubKey, Compute, Io], Mixer] = {}

    def explicit(self, rung: Rung, profile: TargetProfile, times: Times) -> Recipe | None:
        """The recipe of a rung with everything measured that it leaves open.

        Args:
            rung: What to try.
            profile: The target: where it runs integers alone, wider layers compute in 16 bits.
            times: Of the layers of an int8 artifact that was hardly faster than float; empty without one.

        Returns:
            None where there is nothing that the rungs before did not do.

        Raises:
            DataMalformed: A case of the calibration set cannot be used.
            RecipeUnfit: The model does not have as many channels to lose as were asked for.
        """
        compression = rung.recipe.compress or Compression()
        if self._prune is not None and compression.prune is None:
            recipe = replace(rung.recipe, compress=self._pruned(compression, self._prune))
            rung = dataclasses.replace(rung, recipe=recipe)
        if rung.tuning == "none":
            return rung.recipe
        if rung.tuning == "quick":
            return self._calibrated(rung.recipe, QUICK)
        if rung.tuning == "fast":
            settings = hastened(self._hubs.base(rung.recipe), self._best_of(rung.recipe), times)
            return None if settings is None else rung.recipe.with_settings(settings)
        if rung.tuning == "rounding":
            return self._rounded(rung.recipe.with_settings(replace(rung.recipe.settings, bias_correction=True)))
        recipe = self._thorough(rung.recipe)
        if rung.tuning == "thorough":
            return recipe
        mixed = self._mixer(recipe, profile).settings(rung.gain_db)
        return None if mixed is None else rung.recipe.with_settings(mixed)

    @property
    def cases(self) -> list[Sample]:
        """Some dozens of typical cases; none without a calibration set."""
        return self._some(THOROUGH.cases) if self._hubs.is_calibrated else []

    def quick_noise(self, recipe: Recipe) -> float:
        """What a recipe's weights and ranges do to the outputs, on typical cases that nothing was made by.

        Weights are rounded by second order and biases corrected for that, whatever the recipe says.
        """
        return self._noise_by("second-order", recipe)

    def noise(self, recipe: Recipe) -> float:
        """As ``quick_noise``, by the rounding that serves the outputs best: that of the tuning ``rounding``."""
        if recipe.scheme not in QUANTISING:
            return self.quick_noise(recipe)
        return min(self._noise_by(rounding, recipe) for rounding in get_args(Rounding))

    def _noise_by(self, rounding: Rounding, recipe: Recipe) -> float:
        if recipe.scheme not in QUANTISING:
            return Reference(self._source.hub, self.cases).noise_of(self._hubs.make(recipe).hub)
        return self._noise(recipe.with_settings(replace(recipe.settings, rounding=rounding, bias_correction=True)))

    def _thorough(self, recipe: Recipe) -> Recipe:
        """With everything that is worth a search where the artifact costs a device the same."""
        key = hub_key(recipe)
        if key not in self._refined:
            self._progress.stage("choosing which channels are equalised")
            quick = self._least_noise(
                recipe, [self._calibrated(_equalising(recipe, word), QUICK).settings for word in ("none", "all")]
            )
            # Ranges are searched with biases as they are; corrected ones may be served better by other ranges.
            thorough = self._calibrated(_equalising(recipe, quick.equalise), THOROUGH).settings
            settings = self._least_noise(recipe, [thorough, quick])
            if settings.fully_connected == "per-channel":
                self._progress.stage("choosing how many scales weights have")
                per_tensor = replace(settings, fully_connected="per-tensor")
                settings = self._least_noise(recipe, [per_tensor, settings])
            self._refined[key] = self._rounded(recipe.with_settings(settings)).settings
        return recipe.with_settings(self._refined[key])

    def _pruned(self, compression: Compression, ratio: float) -> Compression:
        """With channels chosen that make up the ratio."""
        if self._pruning is None:
            from edgefleet_compiler.compress.channels.choose import choose_channels  # noqa: PLC0415 - only for --prune

            self._pruning = choose_channels(self._source.hub, self._hubs.plenty, ratio, progress=self._progress)
        return replace(compression, prune=self._pruning)

    def _best_of(self, recipe: Recipe) -> Settings:
        """The best settings that were found so far."""
        refined = self._refined.get(hub_key(recipe))
        return self._calibrated(recipe, QUICK).settings if refined is None else refined

    def _rounded(self, recipe: Recipe) -> Recipe:
        """With the rounding of weights that serves the outputs best."""
        self._progress.stage("choosing how weights are rounded")
        roundings: tuple[Rounding, ...] = get_args(Rounding)
        options = [replace(recipe.settings, rounding=rounding) for rounding in roundings]
        return recipe.with_settings(self._least_noise(recipe, options))

    def _least_noise(self, recipe: Recipe, options: list[Settings]) -> Settings:
        """The settings that give the least noise in the outputs, on typical cases that nothing was made by.

        Of equal ones the first. Of a single case nothing can be held back, and the first is as good as any.
        """
        if len(self._hubs.typical) < _FEWEST_CASES:
            return options[0]
        noises = [self._noise(recipe.with_settings(settings)) for settings in options]
        return options[noises.index(min(noises))]

    def _noise(self, recipe: Recipe) -> float:
        key = hub_key(recipe)
        if key not in self._noises:
            made_by, held_back = self._hubs.typical[1::2], self._hubs.typical[::2]
            reference = Reference(self._source.hub, held_back)
            self._noises[key] = reference.noise_of(self._hubs.trial(recipe, made_by))
        return self._noises[key]

    def _mixer(self, recipe: Recipe, profile: TargetProfile) -> Mixer:
        wider: Compute = "int16" if profile.int8_only else "float"
        key = (hub_key(recipe), wider, recipe.io)
        if key not in self._mixers:
            self._progress.stage("measuring what each layer does to the output")
            hub, ranges = self._hubs.float_hub(recipe), self._hubs.ranges(recipe, [])
            self._mixers[key] = Mixer(hub, ranges, recipe.settings, self.cases, wider, recipe.io)
        return self._mixers[key]

    def _some(self, count: int) -> list[Sample]:
        """So many of the typical cases, evenly spread."""
        return self._hubs.typical[:: max(1, len(self._hubs.typical) // count)]

    def _calibrated(self, recipe: Recipe, effort: Effort) -> Recipe:
        """With the channels equalised that need it, ranges by what they do to the output, and corrected biases."""
        seen = self._hubs.seen_of_base(recipe, histograms=True)
        if recipe.settings.equalise == "none" and needs_equalising(self._hubs.base(recipe), seen):
            recipe = _equalising(recipe, "outliers")
        key = (base_key(recipe), recipe.settings.equalise, effort.singly)
        if key not in self._ranges:
            self._progress.stage("choosing ranges")
            hub, seen = self._hubs.float_hub(recipe), self._hubs.seen(recipe, histograms=True)
            self._ranges[key] = choose_ranges(hub, seen, self._some(effort.cases), recipe.settings, effort)
        settings = with_ranges(recipe.settings, self._ranges[key])
        return recipe.with_settings(replace(settings, bias_correction=True))


def _equalising(recipe: Recipe, word: Equalised) -> Recipe:
    return recipe.with_settings(replace(recipe.settings, equalise=word))
