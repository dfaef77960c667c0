"""Instructions of an inference in an emulated Raspberry Pi: the real runtime, with the kernels that it takes there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.benchmark import probe
from edgefleet_compiler.benchmark.jobs import JOB, SCRIPT, Arrays, read_outputs, write_job
from edgefleet_compiler.benchmark.nodes import align_sources
from edgefleet_compiler.benchmark.operators_alone import operators_alone
from edgefleet_compiler.benchmark.record import Instructions, NodeInstructions, OutputAgreement, PiBenchmark
from edgefleet_compiler.benchmark.subject import Model, Subject, random_inputs
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.progress import Progress
from edgefleet_hardware.pi.emulator import CLASSES, EmulatedPi, Mark
from edgefleet_hardware.pi.root import MARK

RUNS = 5
_NODE_RUNS = 3
# Kernels for other vectors add in another order: fp32 outputs of the same file differ by some 1e-6 of their reach.
_FLOAT_SHARE = 1e-4


@dataclass(frozen=True)
class Counted:
    """One model in the emulated board.

    Attributes:
        instructions: Of one inference.
        outputs: What came out.
    """

    instructions: Instructions
    outputs: Arrays


def benchmark_pi(subject: Subject, pi: EmulatedPi, progress: Progress, *, runs: int = RUNS) -> PiBenchmark:
    """Count an artifact, its float model and its operators.

    Args:
        subject: What to run.
        pi: The board.
        progress: Told of what takes long.
        runs: Inferences counted of each model.

    Raises:
        ModelMalformed: The runtime does not load a model.
        EmulationFailed: It fails in the board, and not here.
    """
    artifact, outputs = _count_model(subject.artifact, pi, runs, progress)
    baseline, baseline_outputs = None, None
    if subject.baseline is not None:
        baseline, baseline_outputs = _count_model(subject.baseline, pi, runs, progress)
    nodes = _count_nodes(subject, pi, progress)
    return PiBenchmark(
        on=f"pi:{pi.board.name}",
        core=pi.board.core,
        artifact=subject.artifact.entry,
        baseline=None if subject.baseline is None else subject.baseline.entry,
        runs=runs,
        instructions=artifact.instructions,
        baseline_instructions=None if baseline is None else baseline.instructions,
        ratio=None if baseline is None else artifact.instructions.total / baseline.instructions.total,
        outputs=outputs,
        baseline_outputs=baseline_outputs,
        nodes=nodes,
        nodes_by="operators alone" if nodes else None,
        warnings=[*subject.warnings, *_warn_of_outputs(outputs, pi)],
    )


def count(pi: EmulatedPi, models: Sequence[tuple[Model, Arrays]], *, runs: int) -> list[Counted]:
    """Count models in one process, each for itself.

    Args:
        pi: The board.
        models: Each with its inputs, as it stores them.
        runs: Inferences of each after the warm-up; the median of each class counts.

    Raises:
        EmulationFailed: A runtime fails.
    """
    with tempfile.TemporaryDirectory(prefix="edgefleet-pi-") as name:
        folder = Path(name)
        write_job(folder, "count", models, mark=MARK, runs=runs)
        regions = _regions(pi.run(SCRIPT, [JOB], folder=folder))
        outputs = [read_outputs(folder, number) for number in range(len(models))]
    empty, rest = _median(regions[: probe.EMPTY]), regions[probe.EMPTY :]
    counts = [_median(rest[start : start + runs]) for start in range(0, len(rest), runs)]
    return [Counted(_instructions(of_model, empty), came) for of_model, came in zip(counts, outputs, strict=True)]


def agreement(here: Sequence[NDArray[np.generic]], there: Sequence[NDArray[np.generic]]) -> OutputAgreement:
    """Outputs of the host against those of the board."""
    pairs = [(_as_real(one), _as_real(other)) for one, other in zip(here, there, strict=True)]
    largest = max(float(np.abs(one - other).max(initial=0.0)) for one, other in pairs)
    reach = max(float(np.abs(one).max(initial=0.0)) for one, _ in pairs)
    floats = all(np.issubdtype(value.dtype, np.floating) for value in here)
    tolerance = _FLOAT_SHARE * reach if floats else 0.0
    if all(one.tobytes() == other.tobytes() for one, other in zip(here, there, strict=True)):
        return OutputAgreement("equal", largest, tolerance)
    return OutputAgreement("close" if largest <= tolerance else "different", largest, tolerance)


def _count_model(model: Model, pi: EmulatedPi, runs: int, progress: Progress) -> tuple[Counted, OutputAgreement]:
    runner = open_runner(model.data, model.format)
    inputs = random_inputs(runner)
    progress.stage(f"counting {Path(model.entry.path).name} in the emulated {pi.board.name}")
    (counted,) = count(pi, [(model, inputs)], runs=runs)
    return counted, agreement(runner.infer(inputs), counted.outputs)


def _count_nodes(subject: Subject, pi: EmulatedPi, progress: Progress) -> list[NodeInstructions]:
    operators = operators_alone(subject.artifact)
    if not operators:
        return []
    progress.stage(f"counting {len(operators)} operators in the emulated {pi.board.name}")
    models = [(operator.model, random_inputs(operator.open())) for operator in operators]
    counted = [entry.instructions for entry in count(pi, models, runs=_NODE_RUNS)]
    total = sum(instructions.total for instructions in counted)
    sources = align_sources(subject, [operator.token for operator in operators])
    return [
        NodeInstructions(operator.kind, source, instructions, instructions.total / total)
        for operator, source, instructions in zip(operators, sources, counted, strict=True)
    ]


def _regions(marks: Sequence[Mark]) -> list[dict[str, int]]:
    """The instructions between each mark with an even number and the one after it."""
    return [
        {name: end.counts[name] - start.counts[name] for name in CLASSES}
        for start, end in zip(marks[::2], marks[1::2], strict=True)
    ]


def _median(regions: Iterable[dict[str, int]]) -> dict[str, int]:
    kept = list(regions)
    return {name: median_low(region[name] for region in kept) for name in CLASSES}


def _instructions(counts: dict[str, int], empty: dict[str, int]) -> Instructions:
    """What is left of counts without what making the marks takes."""
    left = {name: max(0, counts[name] - empty[name]) for name in CLASSES}
    return Instructions(total=sum(left.values()), **left)


def _as_real(value: NDArray[np.generic]) -> NDArray[np.float64]:
    return value.astype(np.float64)


def _warn_of_outputs(outputs: OutputAgreement, pi: EmulatedPi) -> list[str]:
    if outputs.verdict != "different":
        return []
    told = f"The outputs in the emulated {pi.board.name} differ from those on this host by up to {outputs.max_abs:g}"
    return [f"{told}: the runtime takes other kernels there, which compute otherwise."]
