"""What the source computes, in its own runtime: the oracle for everything that is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgefleet_compiler.importers.tensorflow.child.model import Input, LoadedModel, first_line
from edgefleet_contract.errors import ModelMalformed

_SEED: Final = 0
_CASES: Final = 4


def write_reference(model: LoadedModel, path: Path) -> None:
    """Run the model on seeded inputs, and write both as an ``.npz``.

    Args:
        model: Not yet prepared for conversion.
        path: Gets ``input/0``, ``input/1``, … and ``output/0``, …; the first axis of each counts the cases.

    Raises:
        ModelMalformed: TensorFlow cannot run the model.
        MemoryError: It takes too much memory.
    """
    generator = np.random.default_rng(_SEED)
    inputs = [np.stack([_case(tensor, index, generator) for index in range(_CASES)]) for tensor in model.inputs]
    outputs = [np.stack(values) for values in zip(*(_run(model, inputs, case) for case in range(_CASES)), strict=True)]
    arrays = {f"input/{index}": value for index, value in enumerate(inputs)}
    arrays |= {f"output/{index}": value for index, value in enumerate(outputs)}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the arrays for its option


def _case(tensor: Input, index: int, generator: np.random.Generator) -> NDArray[np.generic]:
    """Normal values, and positive ones for models that know no others; of integers the two that any table holds."""
    if tensor.dtype.kind != "f":
        return generator.integers(0, 2, tensor.shape).astype(tensor.dtype)
    if index == _CASES - 1:
        return generator.random(tensor.shape).astype(tensor.dtype)
    return generator.standard_normal(tensor.shape).astype(tensor.dtype)


def _run(model: LoadedModel, inputs: list[NDArray[np.generic]], case: int) -> list[NDArray[np.generic]]:
    try:
        return [np.asarray(value) for value in model.call([tf.constant(value[case]) for value in inputs])]
    except tf.errors.ResourceExhaustedError as cause:
        raise MemoryError from cause
    except (ValueError, TypeError, tf.errors.OpError) as cause:
        raise ModelMalformed(
            f"TensorFlow cannot run the model: {first_line(cause)}",
            expected="a model that takes one case at a time",
            remedy="Check the shapes of its inputs.",
        ) from cause
