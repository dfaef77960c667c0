"""Data files: one array per model input by name, or ``x`` for a single input; ``y`` for labels or targets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.data.casting import cast_exactly
from edgefleet_compiler.data.dataset import DataSet
from edgefleet_compiler.data.npy import NpyArray, list_arrays
from edgefleet_compiler.tensors import Sample, TensorInfo
from edgefleet_contract.errors import DataMalformed

TARGETS = "y"
SINGLE_INPUT = "x"


def open_npz(path: Path, inputs: Sequence[TensorInfo]) -> DataSet:
    """Open an ``.npz`` for a model.

    Args:
        path: The file.
        inputs: What the model takes; shapes and axis order of the arrays follow them.

    Raises:
        DataMalformed: No ``.npz``, an array missing, of another shape or without rows, or NaN among the targets.
    """
    arrays = list_arrays(path)
    columns = {tensor: _column_of(tensor, arrays, single=len(inputs) == 1) for tensor in inputs}
    n = _common_rows(columns.values(), arrays.get(TARGETS))

    def samples() -> Iterator[Sample]:
        streams = [column.rows() for column in columns.values()]
        for index, rows in enumerate(zip(*streams, strict=True)):
            yield {
                tensor.name: cast_exactly(row, tensor.dtype, name=column.name, index=index).reshape(tensor.shape)
                for (tensor, column), row in zip(columns.items(), rows, strict=True)
            }

    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return DataSet(path, sha256, n, _targets(arrays), samples)


def _column_of(tensor: TensorInfo, arrays: Mapping[str, NpyArray], *, single: bool) -> NpyArray:
    array = arrays.get(tensor.name) or (arrays.get(SINGLE_INPUT) if single else None)
    if array is None:
        names = f"{tensor.name!r} or {SINGLE_INPUT!r}" if single else repr(tensor.name)
        raise DataMalformed(
            f"The data set holds the arrays {sorted(arrays)}",
            expected=f"one called {names}",
            arrays=sorted(arrays),
            input=tensor.name,
        )
    if array.shape[1:] != tensor.row_shape:
        wanted = ", ".join(["n", *map(str, tensor.row_shape)])
        swapped = sorted(array.shape[1:]) == sorted(tensor.row_shape)
        raise DataMalformed(
            f"The array {array.name!r} has shape {array.shape}",
            expected=f"({wanted}), as the input {tensor.name!r} of the source model",
            remedy="The axes seem to stand in another order: use numpy.transpose." if swapped else "",
            array=array.name,
            shape=list(array.shape),
        )
    return array


def _common_rows(columns: Iterable[NpyArray], targets: NpyArray | None) -> int:
    counts: dict[str, int] = {
        array.name: array.shape[0] for array in (*columns, *([] if targets is None else [targets]))
    }
    if 0 in counts.values():
        raise DataMalformed(f"The data set has no rows: {counts}", expected="at least one")
    if len(set(counts.values())) != 1:
        raise DataMalformed(f"The arrays have different numbers of rows: {counts}", expected="as many in each")
    return next(iter(counts.values()))


def _targets(arrays: Mapping[str, NpyArray]) -> NDArray[np.generic] | None:
    if TARGETS not in arrays:
        return None
    targets = arrays[TARGETS].read()
    if targets.dtype.kind == "f" and not np.isfinite(targets).all():
        raise DataMalformed(f"The array {TARGETS!r} holds NaN or infinity", expected="finite numbers")
    return targets.reshape(-1) if targets.ndim == 2 and targets.shape[1] == 1 else targets
