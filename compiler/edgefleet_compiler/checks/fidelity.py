"""How near the outputs of hubs are to those of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    (fidelity,) = fidelities(reference, [hub], samples)
    return fidelity.sqnr_db


class Fidelity:
    """How near a hub's outputs are to another's, case by case."""

    def __init__(self) -> None:
        self._meters: list[SignalToNoise] = []
        self._noises: list[float] = []

    def add(self, expected: Sequence[NDArray[Any]], seen: Sequence[NDArray[Any]]) -> None:
        """Take in the outputs of one case."""
        self._meters = self._meters or [SignalToNoise(output.size) for output in expected]
        for meter, one, other in zip(self._meters, expected, seen, strict=True):
            meter.add(one, other)
        pairs = zip(expected, seen, strict=True)
        self._noises.append(sum(_power(one - other) / (_power(one) or 1.0) for one, other in pairs))

    @property
    def sqnr_db(self) -> float | None:
        """As ``output_sqnr_db`` has it."""
        ratios = [ratio for meter in self._meters if (ratio := meter.decibels()) is not None]
        return min(ratios, default=None)

    def is_better_than(self, other: Fidelity) -> bool:
        """Whether this one is nearer, in most cases or over all of them.

        Either may be luck: the ratio over all cases hangs on the few that a small step throws to another answer, and a
        Softmax that is sure of its answer moves in neither direction.
        """
        nearer = np.array(self._noises) - np.array(other._noises)
        if np.count_nonzero(nearer < 0) > np.count_nonzero(nearer > 0):
            return True
        ratio, other_ratio = self.sqnr_db, other.sqnr_db
        return ratio is not None and other_ratio is not None and ratio > other_ratio


def fidelities(reference: ir.Model, hubs: Sequence[ir.Model], samples: Iterable[Sample]) -> list[Fidelity]:
    """The fidelity of each hub to the reference, in one pass over the cases."""
    session, compared = Session(reference, optimise=False), [(Session(hub, optimise=False), Fidelity()) for hub in hubs]
    for sample in samples:
        expected = list(session.run(sample).values())
        for other, fidelity in compared:
            fidelity.add(expected, list(other.run(sample).values()))
    return [fidelity for _, fidelity in compared]


def _power(array: NDArray[Any]) -> float:
    return float(np.square(array, dtype=np.float64).mean())
