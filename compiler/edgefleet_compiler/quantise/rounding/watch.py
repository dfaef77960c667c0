"""What layers of a hub get as their inputs: the integers where they are stored so, else the reals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.dequantised import is_per_tensor
from edgefleet_compiler.hub.graph import activations, constant, name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes.dead_code import remove_dead_code
from edgefleet_compiler.quantise.rounding.gram import Gram

Sample = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Input:
    """Where the input of a layer is to be read.

    Attributes:
        value: It, or the integers that it is stored as.
        scale: Of stored integers; None where the value is real.
        zero_point: Of stored integers.
    """

    value: ir.Value
    scale: float | None = None
    zero_point: int = 0

    @property
    def name(self) -> str:
        """Of the value."""
        return name_of(self.value)

    def give(self, array: NDArray[Any], gram: Gram) -> None:
        """Let a Gram matrix take in what was read."""
        if self.scale is None:
            gram.add_reals(array)
        else:
            gram.add_integers(array, self.scale, self.zero_point)

    def reals(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """What was read, as real values."""
        if self.scale is None:
            return array
        return (array.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)


def input_of(node: ir.Node) -> Input:
    """The first input of a layer."""
    value = node.inputs[0]
    assert value is not None
    producer = value.producer()
    # What is rounded at run time has another scale each time.
    if producer is None or producer.op_type != "DequantizeLinear" or not is_per_tensor(producer):
        return Input(value)
    stored, scale = producer.inputs[0], constant(producer.inputs[1])
    assert stored is not None
    assert scale is not None
    zero_point = constant(producer.inputs[2]) if len(producer.inputs) > 2 else None
    return Input(stored, float(scale.reshape(())), 0 if zero_point is None else int(zero_point.reshape(())))


def watching(model: ir.Model, names: Sequence[str]) -> Callable[[Sample], dict[str, NDArray[Any]]]:
    """What computes values of a hub from a sample, and nothing that they do not need.

    Args:
        model: It is not changed.
        names: Of the values; inputs of the graph are taken from the sample.
    """
    given = {name_of(value) for value in model.graph.inputs}
    wanted = set(names) - given
    if not wanted:
        return lambda sample: {name: sample[name] for name in names}
    copy = model.clone()
    copy.graph.outputs[:] = [value for value in activations(copy.graph) if value.name in wanted]
    remove_dead_code(copy)
    session = Session(copy, optimise=False)  # fused integer kernels may saturate otherwise on another processor

    def compute(sample: Sample) -> dict[str, NDArray[Any]]:
        computed = session.run({name: sample[name] for name in session.inputs}, sorted(wanted))
        return computed | {name: sample[name] for name in names if name in given}

    return compute
