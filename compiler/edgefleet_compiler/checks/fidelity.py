"""How near the outputs of one hub are to those of another."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.tensors import Sample


def output_sqnr_db(reference: ir.Model, hub: ir.Model, samples: Iterable[Sample]) -> float | None:
    """Signal to noise ratio of the outputs in decibels, of the output where it is worst.

    The reference's mean over the cases is removed, as in reports.

    Args:
        reference: The hub to compare with.
        hub: Gives as many outputs, of the same shapes.
        samples: The cases.

    Returns:
        None where nothing differs, or nothing varies.
    """
    sessions = Session(reference, optimise=False), Session(hub, optimise=False)
    meters: list[SignalToNoise] = []
    for sample in samples:
        expected, seen = (list(session.run(sample).values()) for session in sessions)
        meters = meters or [SignalToNoise(output.size) for output in expected]
        for meter, one, other in zip(meters, expected, seen, strict=True):
            meter.add(one, other)
    ratios = [ratio for meter in meters if (ratio := meter.decibels()) is not None]
    return min(ratios, default=None)
