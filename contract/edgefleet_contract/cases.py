"""Cases that a model is given: which arrays it takes of those that are there. One rule for server and device.

The server judges a file of rollout vectors by its headers, the device by its arrays. Both ask here, so that no file
passes the one and fails the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edgefleet_contract.errors import DataMalformed
from edgefleet_contract.manifest import TensorSpec

SINGLE_INPUT = "x"
LABELS = "y"
_NUMBERS = "biuf"
_WHOLE_NUMBERS = "biu"


class ArrayForm(NamedTuple):
    """What is known of an array before its values: numpy's letter of its element kind, and its shape."""

    kind: str
    shape: tuple[int, ...]


def inputs_among(inputs: Sequence[TensorSpec], arrays: Mapping[str, ArrayForm]) -> list[str]:
    """The names of the arrays that hold the inputs, in the manifest's order.

    Args:
        inputs: Of the manifest.
        arrays: By input name, or ``x`` for a single input; further arrays are ignored.

    Raises:
        DataMalformed: One is missing, has another shape than (n, ...) or no numbers, or they differ in n.
    """
    single = len(inputs) == 1
    names = [_name_of(spec, arrays, single=single) for spec in inputs]
    counts = {arrays[name].shape[0] for name in names}
    if len(counts) != 1 or 0 in counts:
        raise DataMalformed(f"The inputs have {sorted(counts)} cases", expected="as many in each, and at least one")
    return names


def has_labels(arrays: Mapping[str, ArrayForm], cases: int) -> bool:
    """Whether ``y`` holds one whole number a case. Other targets are no labels.

    Raises:
        DataMalformed: There are labels, and not as many as ``cases``.
    """
    labels = arrays.get(LABELS)
    if labels is None or labels.kind not in _WHOLE_NUMBERS:
        return False
    count = math.prod(labels.shape)
    if count != cases:
        raise DataMalformed(f"The array {LABELS!r} has {count} labels", expected=f"{cases}, one a case")
    return True


def _name_of(spec: TensorSpec, arrays: Mapping[str, ArrayForm], *, single: bool) -> str:
    names = (spec.name, SINGLE_INPUT) if single else (spec.name,)
    name = next((name for name in names if name in arrays), None)
    if name is None:
        called = " or ".join(map(repr, names))
        raise DataMalformed(f"The inputs given are {sorted(arrays)}", expected=f"one called {called}")
    kind, shape = arrays[name]
    row_shape = tuple(spec.shape[1:])
    if not shape or shape[1:] != row_shape:
        wanted = ", ".join(["n", *map(str, row_shape)])
        raise DataMalformed(f"The input {spec.name!r} has shape {shape}", expected=f"({wanted})")
    if kind not in _NUMBERS:
        raise DataMalformed(f"The input {spec.name!r} has elements of the kind {kind!r}", expected="numbers")
    return name
