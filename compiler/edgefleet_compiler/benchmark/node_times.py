"""How long each node of an artifact takes on this host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.benchmark.nodes import align_sources, sources_of_onnx
from edgefleet_compiler.benchmark.onnx_profile import profile_onnx
from edgefleet_compiler.benchmark.operators_alone import OperatorAlone, operators_alone
from edgefleet_compiler.benchmark.record import Method, NodeTime
from edgefleet_compiler.benchmark.small_model import small_model
from edgefleet_compiler.benchmark.subject import Model, Subject, random_inputs
from edgefleet_compiler.checks.latency import Work, time_in_turns
from edgefleet_compiler.checks.runtimes import open_runner

_ROUNDS = 100
_SECONDS = 10.0
_KEPT = 0.9  # of the fastest: what interrupts a process is no cost of the model


def node_times(subject: Subject) -> tuple[list[NodeTime], Method | None, list[str]]:
    """The nodes in order of execution, on one thread, how they were told apart, and what a person should know."""
    if subject.artifact.format == "onnx":
        return _of_onnx(subject), "runtime profile", []
    operators, warnings = operators_alone(subject.artifact)
    if not operators:
        return [], None, warnings
    return _of_tflite(subject, operators), "operators alone", warnings


def _of_onnx(subject: Subject) -> list[NodeTime]:
    data = subject.artifact.data
    profiled = profile_onnx(data, random_inputs(open_runner(data, "onnx")), runs=_ROUNDS)
    sources = sources_of_onnx(subject)
    names = [None if node.index is None else sources[node.index] for node in profiled]
    return _with_shares([node.kind for node in profiled], names, [node.seconds for node in profiled])


def _of_tflite(subject: Subject, operators: Sequence[OperatorAlone]) -> list[NodeTime]:
    models = [small_model("tflite"), *(operator.model for operator in operators)]
    calling, *times = time_in_turns([invocation(model) for model in models], rounds=_ROUNDS, seconds=_SECONDS)
    seconds = [np.maximum(each - np.median(calling), 0.0) for each in times]
    return _with_shares([operator.kind for operator in operators], align_sources(subject, operators), seconds)


def invocation(model: Model) -> Work:
    """An invocation without copying inputs and outputs, which an operator inside a model has not either."""
    from edgefleet_compiler.checks.runtimes.litert import LiteRtRunner  # noqa: PLC0415 - a runtime is heavy

    runner = LiteRtRunner(model.data, delegates=True)
    runner.feed(random_inputs(runner))
    return runner.invoke


def _with_shares(
    kinds: Sequence[str], sources: Sequence[str | None], seconds: Sequence[NDArray[np.float64]]
) -> list[NodeTime]:
    means = [trimmed_mean(times) * 1e6 for times in seconds]
    total = sum(means) or 1.0
    return [
        NodeTime(kind, source, mean, mean / total) for kind, source, mean in zip(kinds, sources, means, strict=True)
    ]


def trimmed_mean(times: NDArray[np.float64]) -> float:
    """A mean and no median: onnxruntime tells whole microseconds."""
    fastest = np.sort(times)[: max(1, int(len(times) * _KEPT))]
    return float(fastest.mean())
