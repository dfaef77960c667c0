"""The tuner: finds by measurement what a rung leaves open, and says it in the words of a recipe."""

from __future__ import annotations

from msgspec.structs import replace

from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.quantise.outliers import find_outliers
from edgefleet_compiler.quantise.search.ranges import QUICK, THOROUGH, Effort, choose_ranges, with_ranges
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe import Recipe, Rung
from edgefleet_compiler.source import Source


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

    def explicit(self, rung: Rung) -> Recipe | None:
        """The recipe of a rung with everything measured that it leaves open.

        Returns:
            None where there is nothing that the rungs before did not do.

        Raises:
            DataMalformed: A case of the calibration set cannot be used.
        """
        if rung.tuning == "none":
            return rung.recipe
        if rung.tuning == "quick":
            return rung.recipe.with_settings(self._calibrated(rung.recipe.settings, QUICK))
        if rung.tuning == "thorough":
            settings = self._calibrated(rung.recipe.settings, THOROUGH)
            return rung.recipe.with_settings(replace(settings, rounding="adaptive"))
        return None

    def _calibrated(self, settings: Settings, effort: Effort) -> Settings:
        """With the channels equalised that need it, ranges by what they do to the output, and corrected biases."""
        seen = self._hubs.calibrator.observed("none", self._source.hub, histograms=True)
        if find_outliers(self._source.hub, seen):
            settings = replace(settings, equalise="outliers")
        key = (settings.equalise, effort.singly)
        if key not in self._ranges:
            self._progress.stage("choosing ranges")
            hub = self._hubs.float_hub(settings)
            seen = self._hubs.calibrator.observed(settings.equalise, hub, histograms=True)
            cases = self._hubs.typical[:: max(1, len(self._hubs.typical) // effort.cases)]
            self._ranges[key] = choose_ranges(hub, seen, cases, settings, effort)
        return replace(with_ranges(settings, self._ranges[key]), bias_correction=True)
