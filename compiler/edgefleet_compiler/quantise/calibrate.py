"""Calibration: the range of each activation over typical inputs.

Source: min-max calibration, Jacob et al. 2018, section 3, without its moving average, which clips: on the same model
28 against 44 dB. Other methods are in ``calibration``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgefleet_compiler.quantise.calibration.observe import Sample, observe


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value that an activation is stored to have, zero included."""

    low: float
    high: float


Ranges = Mapping[str, Range]
"""Ranges by the name of the value in the float hub."""


def calibrate(model: ir.Model, samples: Iterable[Sample], on_sample: Callable[[int], None]) -> dict[str, Range]:
    """Run a float hub over a calibration set and note the range of every activation that int8 needs one for.

    Args:
        model: In hub normal form; it is not changed.
        samples: One array per input by name, of the inputs' shapes and types.
        on_sample: Called after each sample with how many are done.

    Returns:
        All values of each activation, by its name.

    Raises:
        DataMalformed: There are no samples, or a value is NaN or infinite in one.
    """
    seen = observe(model, samples, on_sample, histograms=False).activations
    return {name: Range(found.low, found.high) for name, found in seen.items()}
