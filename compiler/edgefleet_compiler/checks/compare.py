"""Parity of two model files, of whichever formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgefleet_compiler.checks.alignment import AlignedRunner
from edgefleet_compiler.checks.parity import Parity, ParityMeter
from edgefleet_compiler.checks.runtimes import Runner, open_runner
from edgefleet_compiler.data import Normalisation, open_data_set
from edgefleet_compiler.importers import read_model
from edgefleet_compiler.naming import naming
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.tensors import TensorInfo, guess_axes
from edgefleet_contract.errors import ModelMalformed

_MOVES = ((0, 3, 1, 2), (0, 2, 3, 1))


def compare_files(first: Path, second: Path, data: Path, progress: Progress) -> Parity:
    """Run two models on the same cases, each in its own runtime.

    Inputs follow the first model. Where an input or output of the second is an image with its channels at the other
    end, its axes are moved.

    Args:
        first: The reference.
        second: The model that is held against it.
        data: The cases.
        progress: Told of each case.

    Raises:
        ModelMalformed: A file is no model, or the two do not take and give the same.
        DataMalformed: The data cannot be used.
    """
    reference, other = _open(first), _open(second)
    inputs = _as_real(reference.inputs)
    moved = {**_moved_axes(inputs, other.inputs, "inputs"), **_moved_axes(reference.outputs, other.outputs, "outputs")}
    aligned = AlignedRunner(other, inputs, reference.outputs, moved)
    cases = open_data_set(data, inputs, normalisation=Normalisation(), labels=())
    meter = ParityMeter("source")
    progress.stage("comparing", cases.n)
    for sample in cases.samples():
        meter.add(reference.run(list(sample.values())), aligned.run(sample))
        progress.advance()
    return meter.result()


def _open(path: Path) -> Runner:
    with naming(path):
        file = read_model(path)
        return open_runner(file.runnable, file.runs_as)


def _as_real(inputs: Sequence[TensorInfo]) -> tuple[TensorInfo, ...]:
    """Inputs as data files hold them: quantised ones are fed real values."""
    return tuple(
        replace(
            tensor,
            dtype=tensor.dtype if tensor.quantisation is None else np.dtype(np.float32),
            axes=guess_axes(tensor.shape, "tflite"),
        )
        for tensor in inputs
    )


def _moved_axes(first: Sequence[TensorInfo], second: Sequence[TensorInfo], role: str) -> dict[str, tuple[int, ...]]:
    """For each tensor of the second model with its channels at the other end: the first model's axes in its order.

    Raises:
        ModelMalformed: Another number of tensors, or shapes that no such move explains.
    """
    moved: dict[str, tuple[int, ...]] = {}
    seen = f"The {role} of the two models have the shapes {_shapes(first)} and {_shapes(second)}"
    if len(first) != len(second):
        raise ModelMalformed(seen, expected="models that take and give the same")
    for tensor, other in zip(first, second, strict=True):
        if tensor.shape != other.shape:
            axes = next((axes for axes in _MOVES if _turned(tensor.shape, axes) == other.shape), None)
            if axes is None:
                raise ModelMalformed(seen, expected="models that take and give the same")
            moved[tensor.name] = axes
    return moved


def _turned(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...] | None:
    return tuple(shape[axis] for axis in axes) if len(shape) == len(axes) else None


def _shapes(tensors: Sequence[TensorInfo]) -> list[tuple[int, ...]]:
    return [tensor.shape for tensor in tensors]
