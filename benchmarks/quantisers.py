"""What edgefleet makes of models beside its peers: bytes, fidelity, speed, and what the compilation costs.

Every contender is a cold process; fidelity is against the float source on inputs that none has seen; speed is measured
in this process, all models of a subject in turns.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.contenders import FLOAT, Contender, floats, ours, peers
from benchmarks.processes import Cost, ProcessFailed, median, run
from benchmarks.progress import tell
from benchmarks.published import plain_float
from benchmarks.scores import Cases, Score, judge
from benchmarks.speeds import Speed, speed, time_models
from benchmarks.subjects import Subject, subjects
from edgefleet_compiler.checks.runtimes import Runner, open_runner
from edgefleet_contract.errors import EdgefleetError

_SECONDS = 4.0
"""A compilation is not repeated once so much time is spent, so that what takes a minute does so once."""


@dataclass(frozen=True)
class Result:
    """One contender on one subject.

    Attributes:
        contender: Who.
        shipped: The rung that was shipped, where the contender chose one; else empty.
        bytes: Of the artifact.
        io: Element type of its first input: what quantises an input of int8 is the caller's work, and not timed.
        cost: Of the compilation; medians.
        score: Fidelity.
        speed: Beside the float model in the same format.
    """

    contender: Contender
    shipped: str
    bytes: int
    io: Literal["float", "int8"]
    cost: Cost
    score: Score
    speed: Speed


@dataclass(frozen=True)
class Failure:
    """A contender that gave no artifact, or none that runs."""

    contender: Contender
    why: str


@dataclass(frozen=True)
class Outcome:
    """All contenders on one subject, the float models first."""

    subject: Subject
    floats: list[Result]
    results: list[Result]
    failures: list[Failure]


Ways = Callable[[Subject, Path, Path], list[Contender]]
"""Who is measured on a subject, given a folder to write to, and the subject as a float ``.onnx``."""


def int8(subject: Subject, folder: Path, float_onnx: Path) -> list[Contender]:
    """Who quantises to int8."""
    return [*ours(subject, folder), *peers(subject, folder, float_onnx)]


def measure(only: Sequence[str] = (), ways: Ways = int8) -> Iterator[Outcome]:
    """Measure subjects, one after the other.

    Args:
        only: Names of subjects; all when empty.
        ways: Who is measured, besides the float models.
    """
    with tempfile.TemporaryDirectory() as name:
        for subject in subjects(Path(name)):
            if not only or subject.name in only:
                yield _measured(subject, Path(name), ways)


@dataclass(frozen=True)
class _Compiled:
    contender: Contender
    cost: Cost
    runner: Runner

    @property
    def is_float(self) -> bool:
        return self.contender.setting == FLOAT


def _measured(subject: Subject, folder: Path, ways: Ways) -> Outcome:
    plain = [_compiled(subject, contender) for contender in floats(subject, folder)]
    float_onnx = next(each.contender.file for each in plain if each.contender.format == "onnx")
    compiled, failures = list(plain), []
    for contender in ways(subject, folder, float_onnx):
        try:
            compiled.append(_compiled(subject, contender))
        except (ProcessFailed, EdgefleetError) as fault:
            tell(f"{subject.name}: {contender.name} failed: {fault}")
            failures.append(Failure(contender, str(fault)))
    results = _results(subject, compiled)
    return Outcome(subject, results[: len(plain)], results[len(plain) :], failures)


def _compiled(subject: Subject, contender: Contender) -> _Compiled:
    tell(f"{subject.name}: {contender.name} to .{contender.format}")
    costs: list[Cost] = []
    while len(costs) < contender.repeats and sum(cost.seconds for cost in costs) < _SECONDS:
        costs.append(run(contender.arguments))
    return _Compiled(contender, median(costs), open_runner(contender.file.read_bytes(), contender.format))


def _results(subject: Subject, compiled: Sequence[_Compiled]) -> list[Result]:
    cases = Cases.of(subject)
    tell(f"{subject.name}: timing {len(compiled)} models in turns")
    seconds = time_models([each.runner for each in compiled], cases.inputs[:1])
    plain = {each.contender.format: times for each, times in zip(compiled, seconds, strict=True) if each.is_float}
    tell(f"{subject.name}: comparing outputs on {len(cases.inputs)} inputs")
    reference = cases.outputs(_source(subject))
    return [
        Result(
            contender=each.contender,
            shipped=_shipped(each.contender),
            bytes=each.contender.file.stat().st_size,
            io="float" if each.runner.inputs[0].quantisation is None else "int8",
            cost=each.cost,
            score=judge(subject.says, cases, reference, cases.outputs(each.runner)),
            speed=speed(times, plain[each.contender.format]),
        )
        for each, times in zip(compiled, seconds, strict=True)
    ]


def _source(subject: Subject) -> Runner:
    """What fidelity is measured against: the source in its own runtime, with weights in float throughout."""
    data = subject.model.read_bytes()
    return open_runner(plain_float(data), "tflite") if subject.model.suffix == ".tflite" else open_runner(data, "onnx")


def _shipped(contender: Contender) -> str:
    """The rung that edgefleet shipped, from its report, where it tried several."""
    report = contender.file.parent / "report.json"
    if not contender.is_ours or not report.exists():
        return ""
    rungs = json.loads(report.read_text())["rungs"]
    return next((step["rung"] for step in rungs if step["outcome"] == "shipped"), "") if len(rungs) > 1 else ""
