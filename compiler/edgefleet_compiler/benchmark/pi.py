"""Instructions of an inference in an emulated Raspberry Pi: the real runtime, with the kernels that it takes there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.benchmark import probe
from edgefleet_compiler.benchmark.jobs import JOB, SCRIPT, Arrays, read_outputs, write_job
from edgefleet_compiler.benchmark.nodes import align_sources
from edgefleet_compiler.benchmark.operators_alone import OperatorAlone, operators_alone
from edgefleet_compiler.benchmark.record import Instructions, NodeInstructions, OutputAgreement, PiBenchmark
from edgefleet_compiler.benchmark.small_model import small_model
from edgefleet_compiler.benchmark.subject import Model, Subject, random_inputs
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.progress import Progress
from edgefleet_hardware.pi.emulator import CLASSES, EmulatedPi, Mark
from edgefleet_hardware.pi.root import MARK

RUNS = 5
# Kernels for other vectors add in another order: fp32 outputs of the same file differ by some 1e-6 of their reach.
_FLOAT_SHARE = 1e-4


@dataclass(frozen=True)
class Counted:
    """One model in the emulated board.

    Attributes:
        instructions: Of one inference.
        outputs: Of the artifact or float model there, against those here.
    """

    instructions: Instructions
    outputs: OutputAgreement


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
    operators, warnings = operators_alone(subject.artifact)
    whole = [subject.artifact] if subject.baseline is None else [subject.artifact, subject.baseline]
    progress.stage(f"counting instructions in the emulated {pi.board.name}")
    small = small_model(subject.artifact.format)
    counted = count(pi, [*whole, small, *(operator.model for operator in operators)], runs=runs)
    artifact, baseline = counted[0], counted[1] if subject.baseline is not None else None
    calling, *alone = (entry.instructions for entry in counted[len(whole) :])
    nodes = _nodes(subject, operators, [_without(instructions, calling) for instructions in alone])
    return PiBenchmark(
        on=f"pi:{pi.board.name}",
        core=pi.board.core,
        artifact=subject.artifact.entry,
        baseline=None if subject.baseline is None else subject.baseline.entry,
        runs=runs,
        instructions=artifact.instructions,
        baseline_instructions=None if baseline is None else baseline.instructions,
        ratio=None if baseline is None else artifact.instructions.total / baseline.instructions.total,
        outputs=artifact.outputs,
        baseline_outputs=None if baseline is None else baseline.outputs,
        nodes=nodes,
        nodes_by="operators alone" if nodes else None,
        warnings=[*subject.warnings, *warnings, *_warn_of_outputs(artifact.outputs, pi)],
    )


def count(pi: EmulatedPi, models: Sequence[Model], *, runs: int) -> list[Counted]:
    """Count models in one process of the board, one after the other, each on inputs drawn for it.

    Args:
        pi: The board.
        models: What to count, all in one format.
        runs: Inferences of each after the warm-up; the median of each class counts.

    Raises:
        ModelMalformed: The runtime does not load a model.
        EmulationFailed: It fails in the board, and not here.
    """
    here = [_run_here(model) for model in models]
    with tempfile.TemporaryDirectory(prefix="edgefleet-pi-") as name:
        folder = Path(name)
        small = small_model(models[0].format)
        jobs = [(model, inputs) for model, (inputs, _) in zip((small, *models), (_run_here(small), *here), strict=True)]
        write_job(folder, "count", jobs, mark=MARK, runs=runs)
        regions = _regions(pi.run(SCRIPT, [JOB], folder=folder))
        there = [read_outputs(folder, number) for number in range(1, len(jobs))]
    empty, rest = _median(regions[: probe.EMPTY]), regions[probe.EMPTY :]
    counts = [_median(rest[start : start + runs]) for start in range(0, len(rest), runs)]
    return [
        Counted(_instructions(of_model, empty), agreement(outputs, came))
        for of_model, (_, outputs), came in zip(counts, here, there, strict=True)
    ]


def agreement(here: Sequence[NDArray[np.generic]], there: Sequence[NDArray[np.generic]]) -> OutputAgreement:
    """Outputs of the host against those of the board.

    What is no number in both agrees: random inputs may be no case for the model, and processors write "not a number"
    differently.
    """
    pairs = [(_as_real(one), _as_real(other)) for one, other in zip(here, there, strict=True)]
    largest = max(float(_differences(one, other).max(initial=0.0)) for one, other in pairs)
    reach = max(float(np.abs(one[np.isfinite(one)]).max(initial=0.0)) for one, _ in pairs)
    floats = all(np.issubdtype(value.dtype, np.floating) for value in here)
    tolerance = _FLOAT_SHARE * reach if floats else 0.0
    if largest == 0:
        return OutputAgreement("equal", largest, tolerance)
    return OutputAgreement("close" if largest <= tolerance else "different", largest, tolerance)


def _differences(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute differences; infinite where only one is a number."""
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, np.nan_to_num(np.abs(one - other), nan=np.inf))


def _run_here(model: Model) -> tuple[Arrays, Arrays]:
    """Inputs for a model, and its outputs on this host."""
    runner = open_runner(model.data, model.format)
    inputs = random_inputs(runner)
    return inputs, runner.infer(inputs)


def _nodes(
    subject: Subject, operators: Sequence[OperatorAlone], counted: Sequence[Instructions]
) -> list[NodeInstructions]:
    total = sum(instructions.total for instructions in counted) or 1
    sources = align_sources(subject, operators)
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


def _without(instructions: Instructions, calling: Instructions) -> Instructions:
    """What an operator takes without what calling its model takes."""
    return _instructions(msgspec.structs.asdict(instructions), msgspec.structs.asdict(calling))


def _as_real(value: NDArray[np.generic]) -> NDArray[np.float64]:
    return value.astype(np.float64)


def _warn_of_outputs(outputs: OutputAgreement, pi: EmulatedPi) -> list[str]:
    if outputs.verdict != "different":
        return []
    told = f"The outputs in the emulated {pi.board.name} differ from those on this host by up to {outputs.max_abs:g}"
    return [f"{told}: the runtime takes other kernels there, which compute otherwise."]
