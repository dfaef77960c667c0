"""Parity: how far two models' outputs lie apart, gathered case by case in constant memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.signal_to_noise import SignalToNoise


class Parity(msgspec.Struct, frozen=True):
    """How an artifact compares with an oracle.

    Attributes:
        oracle: "source": the source model in its own runtime; "hub": the float hub.
        max_abs: Largest absolute difference of any output, in its real units.
        sqnr_db: Signal to noise ratio in decibels, of the output where it is worst; the reference's mean over the
            cases is removed from the signal, which would flatter models that say nearly the same of every input.
            None where there is no noise, or no signal (a single case).
        argmax_agreement: Share of cases in which the first output's largest element, of equal ones the first, is at
            the same place, as numpy.argmax says it. But where more than half of the elements are the largest, the
            model has decided nothing, and agrees only with another such one: a constant output would else agree
            wherever the reference says the first.
        n: Cases.
    """

    oracle: Literal["source", "hub"]
    max_abs: float
    sqnr_db: float | None
    argmax_agreement: float
    n: int


class ParityMeter:
    """Gathers the parity of two models over the same cases.

    Args:
        oracle: What the reference is.
    """

    def __init__(self, oracle: Literal["source", "hub"]) -> None:
        self._oracle = oracle
        self._n = 0
        self._max_abs = 0.0
        self._agreements = 0
        self._outputs: list[SignalToNoise] = []

    def add(self, reference: Sequence[NDArray[np.generic]], compiled: Sequence[NDArray[np.generic]]) -> None:
        """One case: all outputs of both models, of equal shapes."""
        if not self._outputs:
            self._outputs = [SignalToNoise(output.size) for output in reference]
        for gathered, expected, seen in zip(self._outputs, reference, compiled, strict=True):
            self._max_abs = max(self._max_abs, gathered.add(expected, seen))
        self._agreements += argmax_agrees(reference[0], compiled[0])
        self._n += 1

    def result(self) -> Parity:
        """The parity of the cases so far, of which there is at least one."""
        ratios = [ratio for output in self._outputs if (ratio := output.decibels()) is not None]
        return Parity(
            oracle=self._oracle,
            max_abs=self._max_abs,
            sqnr_db=min(ratios, default=None),
            argmax_agreement=self._agreements / self._n,
            n=self._n,
        )


def argmax_agrees(reference: NDArray[np.generic], compiled: NDArray[np.generic]) -> bool:
    """Whether both decide alike; see ``Parity.argmax_agreement`` for ties."""
    same = int(np.argmax(reference)) == int(np.argmax(compiled))
    return same and _decides(reference) == _decides(compiled)


def _decides(output: NDArray[np.generic]) -> bool:
    """Whether the largest element is a choice: no more than half of all, rounded up, are as large."""
    return int(np.count_nonzero(output == output.max())) <= (output.size + 1) // 2
