"""What the teacher says of cases: computed once where they stay as they are, and of each batch where they do not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import tensorflow as tf
from numpy.typing import NDArray

from edgefleet_compiler.finetune.child.cases import Array, Cases, Indices
from edgefleet_compiler.finetune.child.held import Tensor
from edgefleet_compiler.finetune.child.losses import Reading
from edgefleet_compiler.finetune.child.network import Network

_AT_ONCE = 250


class Teacher:
    """A model that is asked and not changed.

    Args:
        hub: Float, in hub normal form; None for no teacher, who says nothing.
        of_classes: Whether its first output tells classes apart.
    """

    def __init__(self, hub: ir.Model | None, *, of_classes: bool) -> None:
        self._said: dict[int, list[NDArray[np.float32]]] = {}
        self._ask = None
        self.network = None
        if hub is not None:
            self.network = network = Network(hub, {})
            reading = Reading.of(hub.graph)

            @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
            def ask(inputs: list[Tensor]) -> list[Tensor]:
                return reading.scores(network(inputs), of_classes=of_classes)

            self._ask = ask

    def says(self, inputs: list[Array]) -> list[Tensor]:
        """Scores of a batch."""
        return [] if self._ask is None else list(self._ask([tf.constant(array) for array in inputs]))

    def says_of(self, cases: Cases, chosen: Indices) -> list[Tensor]:
        """Scores of cases as they stand in the files."""
        if self._ask is None:
            return []
        if id(cases) not in self._said:
            parts = [[part.numpy() for part in self.says(cases.inputs(each))] for each in cases.batches(_AT_ONCE)]
            self._said[id(cases)] = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return [tf.constant(array[chosen]) for array in self._said[id(cases)]]
