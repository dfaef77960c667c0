"""How near the outputs of one hub are to those of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

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
    meters: list[SignalToNoise] = []
    for expected, seen in _outputs(reference, hub, samples):
        meters = meters or [SignalToNoise(output.size) for output in expected]
        for meter, one, other in zip(meters, expected, seen, strict=True):
            meter.add(one, other)
    ratios = [ratio for meter in meters if (ratio := meter.decibels()) is not None]
    return min(ratios, default=None)


def case_noises(reference: ir.Model, hub: ir.Model, samples: Iterable[Sample]) -> NDArray[np.float64]:
    """The noise in each case: of each output its power over that of the reference's output, added up.

    Unlike a ratio over all cases it is not decided by the few that a small step throws to another answer.

    Args:
        reference: The hub to compare with.
        hub: Gives as many outputs, of the same shapes.
        samples: The cases.

    Returns:
        Shape (cases,).
    """
    noises = [
        sum(_power(one - other) / (_power(one) or 1.0) for one, other in zip(expected, seen, strict=True))
        for expected, seen in _outputs(reference, hub, samples)
    ]
    return np.array(noises, np.float64)


def _power(array: NDArray[np.generic]) -> float:
    return float(np.square(array, dtype=np.float64).mean())


def _outputs(
    reference: ir.Model, hub: ir.Model, samples: Iterable[Sample]
) -> Iterator[tuple[list[NDArray[Any]], list[NDArray[Any]]]]:
    sessions = Session(reference, optimise=False), Session(hub, optimise=False)
    for sample in samples:
        expected, seen = (list(session.run(sample).values()) for session in sessions)
        yield expected, seen
