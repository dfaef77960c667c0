"""Latency on the host: models take turns in an order that is shuffled every round, so that noise hits all of them."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.intervals import Interval, paired_bootstrap
from edgefleet_compiler.checks.runtimes import Runner
from edgefleet_hardware.profile import TargetProfile

_WARM_UP = 5
_ROUNDS = 200
_SECONDS = 2.0  # enough rounds for a median; a large model gets fewer of them
_SEED = 0

Work = Callable[[], object]


class Latency(msgspec.Struct, frozen=True):
    """Medians of one inference, one thread, through the runtime's Python interface.

    Attributes:
        where: The machine that was timed.
        median_ms: Of the artifact.
        baseline_median_ms: Of the float model, exported to the same format and run by the same runtime.
        rounds: Inferences of each.
        ratio_ci95: 95 % interval of how many times longer the artifact takes, over rounds drawn again.
    """

    where: Literal["host"]
    median_ms: float
    baseline_median_ms: float
    rounds: int
    ratio_ci95: tuple[float, float]

    @property
    def ratio(self) -> float:
        """How many times longer the artifact takes than the float model."""
        return self.median_ms / self.baseline_median_ms


class Spread(msgspec.Struct, frozen=True):
    """Times of one inference in milliseconds: the median, and the tenth percentile, which noise reaches less."""

    median_ms: float
    p10_ms: float


def host_is_target(profile: TargetProfile) -> bool:
    """Whether timing the host says something of the target."""
    return platform.machine() == profile.instruction_set == "x86_64"


def compare_latency(artifact: Runner, baseline: Runner, inputs: Sequence[NDArray[np.generic]]) -> Latency:
    """Time an artifact against its float model.

    Args:
        artifact: The compiled model.
        baseline: The float model.
        inputs: Real values that both take.
    """
    times = time_in_turns([one_inference(runner, runner.store(inputs)) for runner in (artifact, baseline)])
    compiled, plain = (spread(row).median_ms for row in times)
    return Latency("host", compiled, plain, times.shape[1], ratio_interval(times[0], times[1]))


def one_inference(runner: Runner, stored: Sequence[NDArray[np.generic]]) -> Work:
    """An inference on values as the model stores them: quantising an input is the caller's work, and not timed."""
    return lambda: runner.infer(stored)


def time_in_turns(works: Sequence[Work], *, rounds: int = _ROUNDS, seconds: float = _SECONDS) -> NDArray[np.float64]:
    """Time pieces of work, each once a round.

    Args:
        works: What to time; each is done a few times before that.
        rounds: At most so many.
        seconds: No further round begins after this time.

    Returns:
        Seconds, shape (works, rounds done).
    """
    for work in works:
        for _ in range(_WARM_UP):
            work()
    generator = np.random.default_rng(_SEED)
    columns = []
    deadline = time.perf_counter() + seconds
    for _ in range(rounds):
        column = np.empty(len(works))
        for index in generator.permutation(len(works)):
            start = time.perf_counter()
            works[index]()
            column[index] = time.perf_counter() - start
        columns.append(column)
        if time.perf_counter() > deadline:
            break
    return np.stack(columns, axis=1)


def spread(seconds: NDArray[np.float64]) -> Spread:
    """Median and tenth percentile of times in seconds."""
    return Spread(float(np.median(seconds)) * 1000, float(np.quantile(seconds, 0.1)) * 1000)


def ratio_interval(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
    """95 % interval of the ratio of two medians, over rounds drawn again in pairs.

    Args:
        first: Shape (rounds,).
        second: Shape (rounds,), of the same rounds.
    """

    def ratio(rounds: NDArray[np.intp]) -> float:
        return float(np.median(first[rounds]) / np.median(second[rounds]))

    return paired_bootstrap(ratio, len(first), seed=_SEED)
