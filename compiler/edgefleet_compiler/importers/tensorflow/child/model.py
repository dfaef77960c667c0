"""A model that TensorFlow has loaded, whichever form it had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from edgefleet_compiler.importers.input_shapes import check_names, fixed_shape
from edgefleet_contract.errors import OperatorUnsupported

Tensors = list[Any]


@dataclass(frozen=True)
class Input:
    """An input with every dimension known."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


@dataclass(frozen=True)
class LoadedModel:
    """A function of tensors, with names.

    Attributes:
        inputs: In the order of the source.
        outputs: Names, in the order of the source.
        call: Tensors in, tensors out, in these orders; in inference mode.
        prepare: Brings the model into the form that converts best; what it computes stays the same.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    call: Callable[[Tensors], Tensors]
    prepare: Callable[[], None] = lambda: None


def fixed_inputs(declared: Mapping[str, Any], given: Mapping[str, tuple[int, ...]]) -> tuple[Input, ...]:
    """The inputs of a model with every dimension known: an open batch becomes 1, others are as given.

    Args:
        declared: What the model says of its inputs, by name: anything with TensorFlow's ``shape`` and ``dtype``.
        given: What the user says.

    Raises:
        UsageMalformed: A dimension stays open, or a given shape has no input or does not fit it.
        OperatorUnsupported: An input that is no tensor of numbers.
    """
    check_names(given, list(declared))
    return tuple(_fixed(name, entry, given.get(name)) for name, entry in declared.items())


def _fixed(name: str, declared: Any, given: Sequence[int] | None) -> Input:
    dtype = tf.as_dtype(declared.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise OperatorUnsupported(
            f"The input {name!r} takes {dtype.name}", expected="inputs of numbers; texts must be encoded before"
        )
    shape = tf.TensorShape(declared.shape)
    known = None if shape.rank is None else shape.as_list()
    fixed = fixed_shape(name, known, None if given is None else tuple(given))
    return Input(name, fixed, np.dtype(dtype.as_numpy_dtype))


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, later ones of the same with ``_1``, ``_2`` and so on: layers with two outputs name both alike."""
    chosen: list[str] = []
    for name in names:
        number, free = 0, name
        while free in chosen:
            number += 1
            free = f"{name}_{number}"
        chosen.append(free)
    return tuple(chosen)


def first_line(error: Exception) -> str:
    """The beginning of what TensorFlow or Keras says, whose messages go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
