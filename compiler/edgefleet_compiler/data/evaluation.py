"""The cases that an artifact is measured on: the validation set, else the calibration set, else random inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.data.dataset import DataSet
from edgefleet_compiler.tensors import Sample, TensorInfo

_RANDOM_CASES = 16


Origin = Literal["validation", "calibration", "random"]


@dataclass(frozen=True)
class Evaluation:
    """Cases, and where they come from.

    Attributes:
        data: The cases.
        origin: "random" inputs tell whether two models compute the same, and nothing of accuracy.
    """

    data: DataSet
    origin: Origin


def choose_evaluation(
    validation: DataSet | None, calibration: DataSet | None, inputs: Sequence[TensorInfo], *, seed: int
) -> Evaluation:
    """The best cases there are.

    Args:
        validation: What the user gave to measure on.
        calibration: What the user gave to calibrate with.
        inputs: What the model takes.
        seed: Of random inputs.
    """
    if validation is not None:
        return Evaluation(validation, "validation")
    if calibration is not None:
        return Evaluation(calibration, "calibration")
    return Evaluation(random_set(inputs, seed), "random")


def random_set(inputs: Sequence[TensorInfo], seed: int, *, cases: int = _RANDOM_CASES) -> DataSet:
    """Inputs drawn at random, the same for the same seed.

    Args:
        inputs: What the model takes.
        seed: Of the generator.
        cases: How many.
    """

    def samples() -> Iterator[Sample]:
        generator = np.random.default_rng(seed)
        for _ in range(cases):
            yield {tensor.name: _random_value(tensor, generator) for tensor in inputs}

    name = hashlib.sha256(f"standard normal, seed {seed}".encode()).hexdigest()
    return DataSet(Path("random"), name, cases, None, samples)


def _random_value(tensor: TensorInfo, generator: np.random.Generator) -> NDArray[np.generic]:
    if tensor.reach is not None:
        return generator.uniform(*tensor.reach, tensor.shape).astype(tensor.dtype)
    normal = generator.standard_normal(tensor.shape)
    return normal.astype(tensor.dtype)
