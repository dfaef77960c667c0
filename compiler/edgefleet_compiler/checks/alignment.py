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
        results = self.runner.run(self.arrange(sample))
        return [_transposed(value, _inverse(axes)) for value, axes in zip(results, self._outputs, strict=True)]

    def arrange(self, sample: Sample) -> list[NDArray[np.generic]]:
        """The inputs of one case in the axes in which the model takes them."""
        return [_transposed(value, axes) for value, axes in zip(sample.values(), self._inputs, strict=True)]

    def arrange_outputs(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Outputs in the source's axes as the model would give them."""
        return [_transposed(value, axes) for value, axes in zip(values, self._outputs, strict=True)]


def _inverse(axes: Axes | None) -> Axes | None:
    return None if axes is None else tuple(axes.index(axis) for axis in range(len(axes)))


def _transposed(value: NDArray[np.generic], axes: Axes | None) -> NDArray[np.generic]:
    return value if axes is None else np.ascontiguousarray(value.transpose(axes))
