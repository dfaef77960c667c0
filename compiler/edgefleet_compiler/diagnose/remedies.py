"""Remedies, each really applied, and what it brings at the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx_ir as ir
from msgspec.structs import replace

from edgefleet_compiler.checks.fidelity import output_sqnr_db
from edgefleet_compiler.diagnose.causes import Evidence
from edgefleet_compiler.diagnose.record import Cause
from edgefleet_compiler.quantise.calibrate import Range, Ranges
from edgefleet_compiler.quantise.calibration.observe import observe
from edgefleet_compiler.quantise.equalise import equalised
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.tensors import Sample

_MARGIN = 1.25
"""How much further than the median case a range reaches that leaves a rare case out."""


@dataclass(frozen=True)
class Tried:
    """A remedy.

    Attributes:
        words: What was done, as recipes have it.
        before_db: SQNR of the outputs without it.
        after_db: The same with it.
        ranges: Of activations with it.
    """

    words: str
    before_db: float | None
    after_db: float | None
    ranges: Ranges


@dataclass
class Clinic:
    """Tries remedies on one quantised hub.

    Attributes:
        float_hub: What it was made of.
        settings: By which it was made.
        ranges: Of its activations.
        typical: Cases of the calibration set, by which remedies are measured.
        held_out: Other cases, by which more data is.
    """

    float_hub: ir.Model
    settings: Settings
    ranges: Ranges
    typical: Sequence[Sample]
    held_out: Sequence[Sample]
    _before: dict[bool, float | None] = field(default_factory=dict)

    def equalise(self, source_hub: ir.Model, outliers_of: Ranges, seen_source: object) -> Tried: ...
