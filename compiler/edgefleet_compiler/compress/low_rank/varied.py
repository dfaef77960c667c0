"""One case of a hub with many values of one of its inputs: several at once, where the hub's operators let them.

A small model alone hardly keeps a processor busy; most of the time goes into calling it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import activations, constant, shape_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.tensors import Sample

_ELEMENTS = 2**22
"""Of all activations of a batch together."""

_ALIKE = 1e-3
"""Of the largest output: what kernels for batches may differ by. A mixed up batch is another thing altogether."""


class Varied:
    """Runs a hub.

    Args:
        model: With static shapes, batch 1; it is not changed.
        name: Of the input that varies.
        values: For it, to try with; shape (values, ...).
        case: Of the other inputs, to try with.
    """

    def __init__(self, model: ir.Model, name: str, values: NDArray[np.float32], case: Sample) -> None:
        self._name = name
        self._alone = self._session = Session(model)
        self._size = 1
        size = min(
            len(values), _ELEMENTS // max(sum(int(np.prod(shape_of(each))) for each in activations(model.graph)), 1)
        )
        several = _with_batch(model, size) if size > 1 else None
        if several is not None:
            self._try(several, size, values, case)

    def run(self, case: Sample, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The outputs for each of the values.

        Args:
            case: Of the other inputs.
            values: Shape (values, ...).

        Returns:
            Arrays of shape (values, elements).
        """
        runs = [self._together(case, values[start : start + self._size]) for start in range(0, len(values), self._size)]
        return [np.concatenate(output)[: len(values)] for output in zip(*runs, strict=True)]

    def _together(self, case: Sample, values: NDArray[np.float32]) -> list[NDArray[Any]]:
        """As ``run``, of no more values than fit at once; outputs of more follow where there are fewer."""
        rest = np.zeros((self._size - len(values), *values.shape[1:]), np.float32)
        filled = np.concatenate([values, rest]).reshape(-1, *values.shape[2:])
        others = {
            name: np.repeat(case[name], self._size, axis=0) for name in self._session.inputs if name != self._name
        }
        outputs = self._session.run({**others, self._name: filled}).values()
        return [output.reshape(self._size, -1) for output in outputs]

    def _try(self, several: ir.Model, size: int, values: NDArray[np.float32], case: Sample) -> None:
        """Run several at once from now on, if each then gives what it gives alone."""
        alone = self.run(case, values[[0, size - 1]])
        try:
            self._session, self._size = Session(several), size
            together = self.run(case, values[:size])
        except Exception:  # noqa: BLE001 - onnxruntime has no base class for its errors, and any means the same
            together = []
        if not _are_alike(alone, [output[[0, -1]] for output in together]):
            self._session, self._size = self._alone, 1


def _are_alike(ones: list[NDArray[Any]], others: list[NDArray[Any]]) -> bool:
    return len(ones) == len(others) and all(
        one.shape == other.shape and np.abs(one - other).max(initial=0) <= _ALIKE * np.abs(one).max(initial=0)
        for one, other in zip(ones, others, strict=True)
    )


def _with_batch(model: ir.Model, count: int) -> ir.Model | None:
    """The hub for so many cases at once, if none of its operators mixes what lies along the first axis.

    Returns:
        None where an input has no first axis of 1 to put them on.
    """
    copy = model.clone()
    shapes = [shape_of(value) for value in copy.graph.inputs]
    if any(shape[:1] != (1,) for shape in shapes):
        return None
    editor = Editor(copy.graph)
    for node in list(copy.graph):
        target = constant(node.inputs[1]) if node.op_type == "Reshape" else None
        if target is not None and target.size and target[0] == 1:
            resized = np.array([count, *target[1:]], np.int64)
            node.replace_input_with(1, editor.constant(resized, f"{node.name}/shape"))
    for value in activations(copy.graph):
        value.shape = None
    for value, shape in zip(copy.graph.inputs, shapes, strict=True):
        value.shape = ir.Shape((count, *shape[1:]))
    return copy
