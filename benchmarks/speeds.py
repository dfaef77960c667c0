"""How fast models are beside each other, in one process and one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.intervals import Interval
from edgefleet_compiler.checks.latency import one_inference, ratio_interval
from edgefleet_compiler.checks.runtimes import Runner

ROUNDS = 400


@dataclass(frozen=True)
class Speed:
    """One model beside its float form.

    Attributes:
        milliseconds: Median of one inference.
        ratio: How many times faster than float in the same runtime: above 1 is faster.
        interval: 95 % interval of ``ratio``, over rounds drawn again.
    """

    milliseconds: float
    ratio: float
    interval: Interval


def time_models(runners: Sequence[Runner], case: NDArray[np.floating], rounds: int = ROUNDS) -> NDArray[np.float64]:
    """Seconds of one inference, shape (models, rounds).

    Models take turns in an order that is drawn anew each round; each runs once before it is timed, so that none pays
    for the caches that the one before it filled. Inputs are stored as the model takes them, which is not timed.
    """
    works = [one_inference(runner, runner.store([case])) for runner in runners]
    generator = np.random.default_rng(0)
    seconds = np.empty((len(works), rounds))
    for turn in range(rounds):
        for index in generator.permutation(len(works)):
            works[index]()
            started = time.perf_counter()
            works[index]()
            seconds[index, turn] = time.perf_counter() - started
    return seconds


def speed(own: NDArray[np.float64], plain: NDArray[np.float64]) -> Speed:
    """From the times of a model and of its float form in the same rounds."""
    median = float(np.median(own))
    return Speed(median * 1000, float(np.median(plain)) / median, ratio_interval(plain, own))
