"""What an inference costs on this host: time against the float model, time of each node, memory of a process."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

from edgefleet_compiler.benchmark.memory import measure_memory
from edgefleet_compiler.benchmark.node_times import node_times
from edgefleet_compiler.benchmark.record import HostBenchmark, HostLatency
from edgefleet_compiler.benchmark.subject import Model, Subject, random_inputs
from edgefleet_compiler.checks.latency import Work, one_inference, ratio_interval, spread, time_in_turns
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.progress import Progress

RUNS = 200
_SECONDS = 60.0  # a limit for large models


def benchmark_host(subject: Subject, progress: Progress, *, runs: int = RUNS, threads: int = 1) -> HostBenchmark:
    """Measure an artifact here.

    Args:
        subject: What to run.
        progress: Told of what takes long.
        runs: Inferences of each model; fewer where they take more than a minute.
        threads: Of the runtime, within an operator.

    Raises:
        ModelMalformed: The runtime does not load a model.
        EdgefleetError: The process whose memory is measured fails.
    """
    progress.stage("measuring memory")
    memory = measure_memory(subject.artifact)
    progress.stage("timing whole inferences")
    latency = _latency(subject, runs, threads)
    progress.stage("timing nodes")
    nodes, method, warnings = node_times(subject)
    return HostBenchmark(
        processor=_processor(),
        artifact=subject.artifact.entry,
        baseline=None if subject.baseline is None else subject.baseline.entry,
        threads=threads,
        latency=latency,
        memory=memory,
        nodes=nodes,
        nodes_by=method,
        warnings=[*subject.warnings, *warnings],
    )


def _latency(subject: Subject, runs: int, threads: int) -> HostLatency:
    models = [subject.artifact] if subject.baseline is None else [subject.artifact, subject.baseline]
    times = time_in_turns([_inference(model, threads) for model in models], rounds=runs, seconds=_SECONDS)
    artifact, done = times[0], times.shape[1]
    if subject.baseline is None:
        return HostLatency(done, spread(artifact))
    baseline = times[1]
    ratio = float(np.median(artifact) / np.median(baseline))
    return HostLatency(done, spread(artifact), spread(baseline), ratio, ratio_interval(artifact, baseline))


def _inference(model: Model, threads: int) -> Work:
    runner = open_runner(model.data, model.format, threads=threads)
    return one_inference(runner, random_inputs(runner))


def _processor() -> str:
    """The processor's name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
