"""The tuner: finds by measurement what a rung leaves open, and says it in the words of a recipe."""

from __future__ import annotations

from typing import get_args

import msgspec
from msgspec.structs import replace

from edgefleet_compiler.benchmark.layer_times import Times
from edgefleet_compiler.hubs import HubKey, HubMaker, hub_key
from edgefleet_compiler.ladder.hastening import hastened
from edgefleet_compiler.ladder.mixing import Mixer
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.quantise.equalise import needs_equalising
from edgefleet_compiler.quantise.search.ranges import QUICK, THOROUGH, Effort, choose_ranges, with_ranges
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.settings import Compute, Rounding, Settings
from edgefleet_compiler.recipe import Io, Recipe, Rung
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
    """

    def __init__(self, source: Source, hubs: HubMaker, progress: Progress) -> None:
        self._source = source
        self._hubs = hubs
        self._progress = progress
        self._ranges: dict[tuple[str, bool], dict[str, str]] = {}
        self._refined: dict[HubKey, Settings] = {}
        self._noises: dict[HubKey, float] = {}
        self._mixers: dict[tuple[bytes, Compute, Io], Mixer] = {}

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
        """
        if rung.tuning == "none":
            return rung.recipe
        if rung.tuning == "quick":
            return rung.recipe.with_settings(self._calibrated(rung.recipe.settings, QUICK))
        if rung.tuning == "fast":
            settings = hastened(self._source.hub, self._best_of(rung.recipe), times)
            return None if settings is None else rung.recipe.with_settings(settings)
        if rung.tuning == "rounding":
            return self._rounded(rung.recipe.with_settings(replace(rung.recipe.settings, bias_correction=True)))
        recipe = self._thorough(rung.recipe)
        if rung.tuning == "thorough":
            return recipe
        mixed = self._mixer(recipe.settings, profile, rung.recipe.io).settings(rung.gain_db)
        return None if mixed is None else rung.recipe.with_settings(mixed)

    @property
    def cases(self) -> list[Sample]:
        """Some dozens of typical cases; none without a calibration set."""
        return self._some(THOROUGH.cases) if self._hubs.is_calibrated else []

    def _thorough(self, recipe: Recipe) -> Recipe:
        """With everything that is worth a search where the artifact costs a device the same."""
        key = hub_key(recipe)
        if key not in self._refined:
            self._progress.stage("choosing which channels are equalised")
            asked = [replace(recipe.settings, equalise=word) for word in ("none", "all")]
            quick = self._least_noise(recipe, [self._calibrated(settings, QUICK) for settings in asked])
            # Ranges are searched with biases as they are; corrected ones may be served better by other ranges.
            thorough = self._calibrated(replace(recipe.settings, equalise=quick.equalise), THOROUGH)
            settings = self._least_noise(recipe, [thorough, quick])
            if settings.fully_connected == "per-channel":
                self._progress.stage("choosing how many scales weights have")
                per_tensor = replace(settings, fully_connected="per-tensor")
                settings = self._least_noise(recipe, [per_tensor, settings])
            self._refined[key] = self._rounded(recipe.with_settings(settings)).settings
        return recipe.with_settings(self._refined[key])

    def _best_of(self, recipe: Recipe) -> Settings:
        """The best settings that were found so far."""
        refined = self._refined.get(hub_key(recipe))
        return self._calibrated(recipe.settings, QUICK) if refined is None else refined

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

    def _mixer(self, settings: Settings, profile: TargetProfile, io: Io) -> Mixer:
        wider: Compute = "int16" if profile.int8_only else "float"
        key = (msgspec.json.encode(settings), wider, io)
        if key not in self._mixers:
            self._progress.stage("measuring what each layer does to the output")
            hub, calibrator = self._hubs.float_hub(settings), self._hubs.calibrator
            ranges = calibrator.ranges(settings.equalise, hub, settings, [])
            self._mixers[key] = Mixer(hub, ranges, settings, self.cases, wider, io)
        return self._mixers[key]

    def _some(self, count: int) -> list[Sample]:
        """So many of the typical cases, evenly spread."""
        return self._hubs.typical[:: max(1, len(self._hubs.typical) // count)]

    def _calibrated(self, settings: Settings, effort: Effort) -> Settings:
        """With the channels equalised that need it, ranges by what they do to the output, and corrected biases."""
        seen = self._hubs.calibrator.observed("none", self._source.hub, histograms=True)
        if settings.equalise == "none" and needs_equalising(self._source.hub, seen):
            settings = replace(settings, equalise="outliers")
        key = (settings.equalise, effort.singly)
        if key not in self._ranges:
            self._progress.stage("choosing ranges")
            hub = self._hubs.float_hub(settings)
            seen = self._hubs.calibrator.observed(settings.equalise, hub, histograms=True)
            self._ranges[key] = choose_ranges(hub, seen, self._some(effort.cases), settings, effort)
        return replace(with_ranges(settings, self._ranges[key]), bias_correction=True)
