"""Sizes that a graph works out from its own tensors become constants, as TensorFlow writes Flatten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator

_SIZES: Final = (np.dtype(np.int32), np.dtype(np.int64))
_Fold = Callable[[LoweredGraph, Operator], NDArray[np.generic] | None]


def fold_shapes(graph: LoweredGraph) -> None:
    """Make what follows from shapes alone a constant, and take out the operators that worked it out."""
    kept = []
    for operator in graph.operators:
        fold = _FOLDS.get(operator.kind)
        output = graph.tensors[operator.outputs[0]]
        data = None
        if fold is not None and output.dtype in _SIZES and output.name not in graph.outputs:
            data = fold(graph, operator)
        if data is None:
            kept.append(operator)
        else:
            output.data = data.astype(output.dtype).reshape(output.shape)
    graph.operators = kept


def _shape(graph: LoweredGraph, operator: Operator) -> NDArray[np.generic] | None:
    return np.array(graph.tensors[str(operator.inputs[0])].shape, np.int64)


def _packed(graph: LoweredGraph, operator: Operator) -> NDArray[np.generic] | None:
    parts = [graph.tensors[str(name)].data for name in operator.inputs]
    known = [part for part in parts if part is not None and not part.ndim]
    return np.stack(known) if len(known) == len(parts) else None


def _element(graph: LoweredGraph, operator: Operator) -> NDArray[np.generic] | None:
    """One element of a list of sizes."""
    sizes, begin = (graph.tensors[str(name)].data for name in operator.inputs[:2])
    masks = [operator.integer(f"{name}_mask") for name in ("begin", "ellipsis", "new_axis")]
    if sizes is None or begin is None or sizes.ndim != 1 or operator.integer("shrink_axis_mask") != 1 or any(masks):
        return None
    place = int(begin[0])
    return sizes[place : place + 1] if 0 <= place < len(sizes) else None


_FOLDS: Final[dict[str, _Fold]] = {"PACK": _packed, "SHAPE": _shape, "STRIDED_SLICE": _element}
