"""What is learned from: cases with their labels or targets, laid out for the child, and what the output is to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.data import DataSet
from edgefleet_compiler.finetune.messages import TARGETS, TRAINING, VALIDATION, Goal
from edgefleet_compiler.naming import naming
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import DataMalformed

_HELD_OUT = 10
"""One in so many cases is held out where there is no validation set."""


@dataclass(frozen=True)
class Lessons:
    """Cases in a folder.

    Attributes:
        goal: What the first output is to be.
        axes: Of the first input: "NHWC" or "NCHW", or "".
        cases: How many are trained on.
        held_out: How many say which epoch was the best.
        bytes: Of all arrays.
    """

    goal: Goal
    axes: str
    cases: int
    held_out: int
    bytes: int


def goal_of(data: DataSet, inputs: Sequence[TensorInfo], output: TensorInfo, *, taught: bool) -> Goal:
    """What training is to make of the first output.

    Class labels ask for classes, targets in the form of the output for themselves. Without either an autoencoder is to
    give its input back, and any other model what its teacher says.

    Args:
        data: The cases.
        inputs: Of the model.
        output: Its first output.
        taught: Whether there is a teacher.

    Raises:
        DataMalformed: There are no labels, and neither a teacher; or labels that the output has no place for.
    """
    count, is_autoencoder = math.prod(output.shape), math.prod(output.shape) == math.prod(inputs[0].shape)
    if data.targets is None or (is_autoencoder and data.has_class_labels):
        if is_autoencoder:
            return "itself"
        if taught:
            return "teacher"
        raise DataMalformed(
            f"The data set {str(data.path)!r} has no labels 'y', and there is no teacher to say what is right",
            expected="an array 'y' of labels or targets, or a teacher",
            remedy="Add 'y' to the file; or give --teacher MODEL, such as the model itself before --prune.",
        )
    if data.targets[0].size == count and not (data.has_class_labels and data.targets.ndim == 1 and count == 1):
        return "values"
    if not data.has_class_labels:
        raise DataMalformed(
            f"The array 'y' of {str(data.path)!r} has shape {data.targets.shape} and dtype {str(data.targets.dtype)!r}",
            expected=f"one integer label a case, or targets of the output's {count} numbers a case",
            remedy="One-hot labels become integers with numpy.argmax(y, axis=1).",
        )
    _check_labels(data, classes=max(count, 2))
    return "classes"


def _check_labels(data: DataSet, *, classes: int) -> None:
    assert data.targets is not None
    labels = data.targets.astype(np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataMalformed(
            f"The label of case {wrong[0]} of {str(data.path)!r} is {labels[wrong[0]]}",
            expected=f"0 to {classes - 1}, as the model has outputs",
            remedy="Drop or repair the cases with other labels; 'y' counts classes from 0.",
            case=int(wrong[0]),
        )


def lay_out(
    data: DataSet,
    validation: DataSet | None,
    inputs: Sequence[TensorInfo],
    goal: Goal,
    *,
    seed: int,
    folder: Path,
) -> Lessons:
    """Write cases where the child finds them.

    Args:
        data: What is trained on.
        validation: What says which epoch was the best; None takes a tenth of ``data``.
        inputs: Of the model, in order.
        goal: What the first output is to be.
        seed: Decides which tenth.
        folder: To write to.

    Raises:
        DataMalformed: A case cannot be used, or there are too few.
    """
    if validation is not None:
        training, held_out, source = np.arange(data.n), np.arange(validation.n), validation
    elif data.n < 2:
        raise DataMalformed(
            f"The data set {str(data.path)!r} has one case",
            expected="at least two: without --validation some are held out",
        )
    else:
        order, count = np.random.default_rng([seed]).permutation(data.n), max(1, data.n // _HELD_OUT)
        training, held_out, source = np.sort(order[count:]), np.sort(order[:count]), data
    has_targets = goal in ("classes", "values")
    parts = ((data, training, TRAINING), (source, held_out, VALIDATION))
    written = sum(_write(each, indices, inputs, has_targets, folder / name) for each, indices, name in parts)
    return Lessons(goal, inputs[0].axes, len(training), len(held_out), written)


def _write(
    data: DataSet, indices: NDArray[np.int64], inputs: Sequence[TensorInfo], has_targets: bool, folder: Path
) -> int:
    """The cases at ascending indices, an array for each input; how many bytes these take."""
    folder.mkdir()
    arrays = [
        np.lib.format.open_memmap(
            folder / f"{place}.npy", "w+", dtype=tensor.dtype, shape=(len(indices), *tensor.shape[1:])
        )
        for place, tensor in enumerate(inputs)
    ]
    with naming(data.path):
        for row, (_, sample) in enumerate(data.chosen(indices.tolist())):
            for tensor, array in zip(inputs, arrays, strict=True):
                array[row] = sample[tensor.name][0]
    for array in arrays:
        array.flush()
    if has_targets and data.targets is not None:
        np.save(folder / TARGETS, data.targets[indices], allow_pickle=False)
    return sum(array.nbytes for array in arrays)
