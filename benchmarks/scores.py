"""How true a compiled model is to its float source, on inputs that no compiler has seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.subjects import Says, Subject
from edgefleet_compiler.checks.intervals import Interval, newcombe_paired
from edgefleet_compiler.checks.parity import ParityMeter
from edgefleet_compiler.checks.runtimes import Runner

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Score:
    """Fidelity of one artifact.

    Attributes:
        sqnr_db: Signal to noise ratio, with the reference's mean removed; None where nothing differs.
        agreement: Share of cases with the same choice; None where the model does not choose.
        shift: Mean relative change of an anomaly's score; None where the model does not score.
        drop: Accuracy lost against the float model, a fraction; None without labels.
        interval: 95 % interval of ``drop``, paired.
    """

    sqnr_db: float | None
    agreement: float | None = None
    shift: float | None = None
    drop: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class Cases:
    """What artifacts are judged by.

    Attributes:
        inputs: Shape (cases, ...), float32.
        labels: Shape (cases,); None where there are none.
    """

    inputs: Floats
    labels: NDArray[np.integer] | None

    @staticmethod
    def of(subject: Subject) -> Cases:
        """The validation set."""
        data = np.load(subject.data.validation)
        return Cases(data["x"].astype(np.float32), data.get("y"))

    def outputs(self, runner: Runner) -> Floats:
        """What a model says of all cases, shape (cases, elements)."""
        return np.stack([runner.run([case[None]])[0].reshape(-1) for case in self.inputs]).astype(np.float32)


def judge(says: Says, cases: Cases, reference: Floats, compiled: Floats) -> Score:
    """Compare outputs, shape (cases, elements), with those of the float model."""
    meter = ParityMeter("source")
    for expected, seen in zip(reference, compiled, strict=True):
        meter.add([expected], [seen])
    parity = meter.result()
    if says == "score":
        return Score(parity.sqnr_db, shift=_shift(cases.inputs, reference, compiled))
    agreement = parity.argmax_agreement if says == "choice" else None
    if cases.labels is None or says != "choice":
        return Score(parity.sqnr_db, agreement)
    before, after = ((outputs.argmax(axis=1) == cases.labels) for outputs in (reference, compiled))
    return Score(
        parity.sqnr_db, agreement, drop=float(before.mean() - after.mean()), interval=newcombe_paired(before, after)
    )


def _shift(inputs: Floats, reference: Floats, compiled: Floats) -> float:
    """Mean relative change of the mean square of what is reconstructed wrongly."""
    flat = inputs.reshape(len(inputs), -1)
    before, after = (np.square(outputs - flat).mean(axis=1) for outputs in (reference, compiled))
    return float((np.abs(after - before) / before).mean())
