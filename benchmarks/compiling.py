"""int8 by edgefleet beside onnxruntime's own quantiser: bytes, fidelity, speed, and what the compilation costs.

Both start from the same float model and calibration set, each in a cold process of its own, in turns. Fidelity is
against the float model, on inputs that neither has seen; SQNR has the reference's mean removed. Latency is measured in
one process, the models in turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.processes import Cost, median, run
from benchmarks.subjects import Subject, subjects
from edgefleet_compiler.checks.parity import Parity, ParityMeter
from edgefleet_compiler.checks.runtimes import open_runner

REPEATS = 3
LATENCY_ROUNDS = 300


@dataclass(frozen=True)
class Measured:
    """One compiler on one model."""

    cost: Cost
    bytes: int
    parity: Parity
    milliseconds: float


def table() -> str:
    """All models, in Markdown."""
    lines = [
        "| model | compiler | bytes | SQNR c, dB | agreement | ms | x float | compile s | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        for subject in subjects(Path(name)):
            lines += rows(subject, Path(name))
    return "\n".join(lines)


def rows(subject: Subject, folder: Path) -> list[str]:
    """Edgefleet, the peer, and their ratio."""
    float_model = _compile(subject, folder, "float", "x86-64")
    peer_file = folder / f"{subject.name}-peer.onnx"
    costs: dict[str, list[Cost]] = {"ours": [], "peer": []}
    for _ in range(REPEATS):
        costs["ours"].append(run(_command(subject, folder, "int8", "x86-64")))
        costs["peer"].append(
            run(["-m", "benchmarks.peer_onnxruntime", str(float_model), str(subject.calibration), str(peer_file)])
        )
    ours_file = _artifact(subject, folder, "int8", "x86-64")
    latencies = interleaved([float_model, ours_file, peer_file], subject)
    ours = Measured(
        median(costs["ours"]), ours_file.stat().st_size, fidelity(float_model, ours_file, subject), latencies[1]
    )
    peer = Measured(
        median(costs["peer"]), peer_file.stat().st_size, fidelity(float_model, peer_file, subject), latencies[2]
    )
    return [
        row(subject.name, "edgefleet", ours, latencies[0]),
        row("", "onnxruntime U8S8", peer, latencies[0]),
        ratio_row(ours, peer),
    ]


def row(model: str, compiler: str, measured: Measured, float_ms: float) -> str:
    """One line of the table."""
    speedup = float_ms / measured.milliseconds
    return (
        f"| {model} | {compiler} | {measured.bytes:,} | {measured.parity.sqnr_db or 0:.1f} "
        f"| {measured.parity.argmax_agreement:.4f} | {measured.milliseconds:.4f} | {speedup:.2f} "
        f"| {measured.cost.seconds:.2f} | {measured.cost.megabytes:.0f} |"
    )


def ratio_row(ours: Measured, peer: Measured) -> str:
    """Ours over the peer's; below 1 is better, but for fidelity, where the difference in dB stands."""
    gain = (ours.parity.sqnr_db or 0) - (peer.parity.sqnr_db or 0)
    return (
        f"| | ratio | {ours.bytes / peer.bytes:.2f} | {gain:+.1f} | | {ours.milliseconds / peer.milliseconds:.2f} | "
        f"| {ours.cost.seconds / peer.cost.seconds:.2f} | {ours.cost.megabytes / peer.cost.megabytes:.2f} |"
    )


def fidelity(float_model: Path, compiled: Path, subject: Subject) -> Parity:
    """Outputs of ``compiled`` against those of ``float_model``."""
    reference, candidate = (open_runner(path.read_bytes(), "onnx") for path in (float_model, compiled))
    meter = ParityMeter("source")
    for case in cases(subject):
        meter.add(reference.run([case]), candidate.run([case]))
    return meter.result()


def interleaved(models: list[Path], subject: Subject) -> list[float]:
    """Median milliseconds of each model, run in turns in an order that changes every round."""
    runners = [open_runner(path.read_bytes(), "onnx") for path in models]
    inputs = cases(subject)[:1]
    generator = np.random.default_rng(0)
    times: list[list[float]] = [[] for _ in models]
    for _ in range(LATENCY_ROUNDS):
        for index in generator.permutation(len(models)):
            runners[index].run(inputs)
            started = time.perf_counter()
            runners[index].run(inputs)
            times[index].append((time.perf_counter() - started) * 1000)
    return [statistics.median(values) for values in times]


def cases(subject: Subject) -> list[np.ndarray]:
    """At most 2,000 inputs with their batch of 1."""
    return [case[None].astype(np.float32) for case in np.load(subject.validation)["x"][:2000]]


def _compile(subject: Subject, folder: Path, recipe: str, target: str) -> Path:
    run(_command(subject, folder, recipe, target))
    return _artifact(subject, folder, recipe, target)


def _artifact(subject: Subject, folder: Path, recipe: str, target: str) -> Path:
    return folder / f"{subject.name}-{recipe}" / target / "model.onnx"


def _command(subject: Subject, folder: Path, recipe: str, target: str) -> list[str]:
    return [
        "-m", "edgefleet", "model", "compile", str(subject.model), "--target", target, "--recipe", recipe,
        "--calibration", str(subject.calibration), "--out", str(folder / f"{subject.name}-{recipe}"), "--json",
    ]  # fmt: skip
