"""One case through any model, in the source's axes: artifacts with native layouts have them in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import Runner
from edgefleet_compiler.tensors import Sample, TensorInfo

Axes = tuple[int, ...]


class AlignedRunner:
    """A runner that takes and gives values in the source's axes.

    What the model takes beyond the source's inputs are states, which are at rest in every case: zeros. What it gives
    beyond the source's outputs are the states after the case.

    Args:
        runner: The model.
        inputs: What the source takes.
        outputs: What the source gives.
        stored_axes: For each input or output that the model has in another order: the source's axes in its order.
    """

    def __init__(
        self,
        runner: Runner,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        stored_axes: Mapping[str, Axes] | None = None,
    ) -> None:
        moved = stored_axes or {}
        self.runner = runner
        self._inputs = [moved.get(tensor.name) for tensor in inputs]
        self._outputs = [moved.get(tensor.name) for tensor in outputs]

    def run(self, sample: Sample) -> list[NDArray[np.generic]]:
        """The outputs of one case, in the source's order and axes."""
        return self.run_whole(sample)[: len(self._outputs)]

    def run_whole(self, sample: Sample) -> list[NDArray[np.generic]]:
        """The same, and the states afterwards, as they are stored."""
        results = self.runner.run(self.arrange(sample))
        outputs = [_transposed(value, _inverse(axes)) for value, axes in zip(results, self._outputs, strict=False)]
        return [*outputs, *results[len(self._outputs) :]]

    def arrange(self, sample: Sample) -> list[NDArray[np.generic]]:
        """The inputs of one case in the axes in which the model takes them."""
        given = [_transposed(value, axes) for value, axes in zip(sample.values(), self._inputs, strict=True)]
        return [*given, *(np.zeros(state.shape, np.float32) for state in self.runner.inputs[len(given) :])]

    def arrange_outputs(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Outputs in the source's axes, and states after them, as the model would give them."""
        outputs = [_transposed(value, axes) for value, axes in zip(values, self._outputs, strict=False)]
        return [*outputs, *values[len(self._outputs) :]]


def _inverse(axes: Axes | None) -> Axes | None:
    return None if axes is None else tuple(axes.index(axis) for axis in range(len(axes)))


def _transposed(value: NDArray[np.generic], axes: Axes | None) -> NDArray[np.generic]:
    return value if axes is None else np.ascontiguousarray(value.transpose(axes))
