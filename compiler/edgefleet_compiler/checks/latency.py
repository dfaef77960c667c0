"""Latency on the host, where the host is the target: artifact and float model in turns, so that noise hits both."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import Runner
from edgefleet_hardware.profile import TargetProfile

_WARM_UP = 5
_ROUNDS = 200
_SECONDS = 2.0  # enough rounds for a median; a large model gets fewer of them


class Latency(msgspec.Struct, frozen=True):
    """Medians of one inference, one thread, through the runtime's Python interface.

    Attributes:
        where: The machine that was timed.
        median_ms: Of the artifact.
        baseline_median_ms: Of the float model, exported to the same format and run by the same runtime.
        rounds: Inferences of each.
    """

    where: Literal["host"]
    median_ms: float
    baseline_median_ms: float
    rounds: int


def host_is_target(profile: TargetProfile) -> bool:
    """Whether timing the host says something of the target."""
    return platform.machine() == profile.instruction_set == "x86_64"


def compare_latency(artifact: Runner, baseline: Runner, inputs: Sequence[NDArray[np.generic]]) -> Latency:
    """Time two models in turns, the order changing every round.

    Args:
        artifact: The compiled model.
        baseline: The float model.
        inputs: Real values that both take.
    """
    times: dict[int, list[float]] = {0: [], 1: []}
    runners = (artifact, baseline)
    stored = [runner.store(inputs) for runner in runners]  # quantising the input is the caller's work, not timed
    for runner, values in zip(runners, stored, strict=True):
        for _ in range(_WARM_UP):
            runner.infer(values)
    deadline = time.perf_counter() + _SECONDS
    for round_number in range(_ROUNDS):
        for index in (0, 1) if round_number % 2 else (1, 0):
            start = time.perf_counter()
            runners[index].infer(stored[index])
            times[index].append(time.perf_counter() - start)
        if time.perf_counter() > deadline:
            break
    return Latency(
        where="host",
        median_ms=statistics.median(times[0]) * 1000,
        baseline_median_ms=statistics.median(times[1]) * 1000,
        rounds=len(times[0]),
    )
