"""Remedies, each really applied, and what it brings at the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
from msgspec.structs import replace

from edgefleet_compiler.checks.fidelity import output_sqnr_db
from edgefleet_compiler.diagnose.causes import Evidence
from edgefleet_compiler.diagnose.record import Cause
from edgefleet_compiler.quantise.calibrate import Range, Ranges
from edgefleet_compiler.quantise.calibration.observe import Observations, observe
from edgefleet_compiler.quantise.equalise import equalised
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.tensors import Sample

EQUALISED = 'equalise = "outliers"'
"""The remedy of outlier channels, in the words of recipes."""


@dataclass(frozen=True)
class Tried:
    """A remedy.

    Attributes:
        words: What was done, as recipes have it.
        before_db: SQNR of the outputs without it.
        after_db: The same with it.
        ranges: Of activations without it.
        healed: The same with it.
    """

    words: str
    before_db: float | None
    after_db: float | None
    ranges: Ranges
    healed: Ranges


@dataclass(frozen=True)
class Clinic:
    """Tries remedies on one float hub.

    Attributes:
        float_hub: What was quantised.
        settings: How. Biases and rounding are left as they come, so that a remedy is compared with its like.
        ranges: Of the activations.
        seen: What calibration saw of them.
        typical: Cases of the calibration set.
        held_out: Other cases. What is done about the calibration set is measured by them, all else by the typical ones.
    """

    float_hub: ir.Model
    settings: Settings
    ranges: Ranges
    seen: Observations
    typical: Sequence[Sample]
    held_out: Sequence[Sample]

    def equalise(self) -> Tried:
        """Bring outlier channels to what the others are like."""
        hub = equalised(self.float_hub, self.seen, "outliers")
        healed = whole_ranges(observe(hub, self.typical, lambda _: None, histograms=False))
        after = output_sqnr_db(hub, quantise(hub, healed, self.settings), self.typical)
        return Tried(EQUALISED, self._without(self.typical), after, self.ranges, healed)

    def in_float(self, names: Sequence[str]) -> Tried:
        """Let layers compute in float, their activations between them, too."""
        layers = {**self.settings.layers, **{name: LayerSettings(compute="float") for name in names}}
        hub = quantise(self.float_hub, self.ranges, replace(self.settings, layers=layers))
        after = output_sqnr_db(self.float_hub, hub, self.typical)
        words = f'compute = "float" of {" and ".join(f"{name!r}" for name in names)}'
        return Tried(words, self._without(self.typical), after, self.ranges, {})

    def try_for(self, cause: Cause, activation: str, layer: str | None, evidence: Evidence) -> Tried:
        """The remedy of another cause.

        Args:
            cause: What is wrong.
            activation: With what.
            layer: What gives it; None for an input.
            evidence: Of it.
        """
        if cause == "dead scale" and evidence.reach > 0:
            return self._in_16_bits(activation, layer)
        if cause in ("calibration too small", "dead scale"):
            return self._with_other_cases("more calibration cases")
        if cause == "calibration unlike other cases":
            return self._with_other_cases("calibration cases of the same scale as the others")
        if cause == "saturation":
            seen = self.seen.activations[activation]
            words = f'ranges."{activation}" = "min-max"'
            return self._with_ranges({activation: Range(seen.low, seen.high)}, words, self.typical)
        return self._without_case(evidence.reach_case)

    def _with_other_cases(self, words: str) -> Tried:
        """Let every range hold what it has in the other cases, too."""
        others = whole_ranges(observe(self.float_hub, self.held_out, lambda _: None, histograms=False))
        wider = {
            name: Range(min(chosen.low, others[name].low), max(chosen.high, others[name].high))
            for name, chosen in self.ranges.items()
        }
        return self._with_ranges(wider, words, self.held_out)

    def _without_case(self, case: int) -> Tried:
        """Keep every activation that reaches furthest in a case to how far the others reach.

        It is measured on cases held out: the rare one itself would outweigh all others.
        """
        narrower = {}
        for name, seen in self.seen.activations.items():
            if name in self.ranges and seen.reach_case == case and seen.reach > 0:
                low, high = self.ranges[name].low, self.ranges[name].high
                narrower[name] = Range(max(low, -seen.second_reach), min(high, seen.second_reach))
        return self._with_ranges(narrower, f"a calibration set without case {case}", self.held_out)

    def _in_16_bits(self, activation: str, layer: str | None) -> Tried:
        before = self._without(self.typical)
        if layer is None:
            return Tried("give the model this input apart", before, None, self.ranges, {})
        layers = {**self.settings.layers, layer: LayerSettings(compute="int16")}
        hub = quantise(self.float_hub, self.ranges, replace(self.settings, layers=layers))
        after = output_sqnr_db(self.float_hub, hub, self.typical)
        healed = {activation: self.ranges[activation]}
        return Tried(f'layers."{layer}".compute = "int16"', before, after, self.ranges, healed)

    def _with_ranges(self, chosen: Ranges, words: str, cases: Sequence[Sample]) -> Tried:
        healed = {**self.ranges, **chosen}
        after = output_sqnr_db(self.float_hub, quantise(self.float_hub, healed, self.settings), cases)
        return Tried(words, self._without(cases), after, self.ranges, healed)

    def _without(self, cases: Sequence[Sample]) -> float | None:
        return output_sqnr_db(self.float_hub, quantise(self.float_hub, self.ranges, self.settings), cases)


def whole_ranges(seen: Observations) -> dict[str, Range]:
    """Ranges that hold all that was seen."""
    return {name: Range(found.low, found.high) for name, found in seen.activations.items()}
