"""What a kernel is told of its operator: tensors, constants, scales, and whose integers it is to give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.emulate.rounding import Dialect, Integers, round_half_away
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Quantisation, Tensor
from edgefleet_contract.errors import OperatorUnsupported

Values = NDArray[Any]
"""Many cases of a tensor: (cases, *shape), or (1, *shape) where all cases have the same."""
Run = Callable[[Sequence[Values]], Values]
"""What a kernel makes of its operator: from the values of its inputs to those of its output, case by case."""

# Fused activations as the reals that they clamp to; None where the element type is the limit.
_CLAMPS: Final[dict[str, tuple[float | None, float | None]]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


@dataclass(frozen=True)
class Site:
    """An operator where it stands.

    Attributes:
        graph: Which it is part of.
        operator: The operator.
        dialect: Whose integers are wanted.
    """

    graph: LoweredGraph
    operator: Operator
    dialect: Dialect

    def input(self, position: int) -> Tensor:
        """An input that is not left out."""
        return self.graph.tensors[self.operator.inputs[position] or ""]

    def has_input(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.operator.inputs) and self.operator.inputs[position] is not None

    @property
    def output(self) -> Tensor:
        """The only output."""
        return self.graph.tensors[self.operator.outputs[0]]

    def constant(self, position: int) -> Values:
        """The value of an input that has to be known before the first inference.

        Raises:
            OperatorUnsupported: It is computed.
        """
        data = self.input(position).data
        if data is None:
            raise self.unsupported(f"its input {position} is computed")
        return data

    def number(self, name: str, default: float) -> np.float32:
        """An attribute that is a real."""
        value = self.operator.attributes.get(name, default)
        assert isinstance(value, int | float)
        return np.float32(value)

    def require_type(self, *names: str) -> None:
        """Refuse elements that the kernel does not compute on.

        Raises:
            OperatorUnsupported: The first input is of none of these types.
        """
        if self.input(0).dtype.name not in names:
            raise self.unsupported(f"it computes on {self.input(0).dtype}")

    def unsupported(self, reason: str) -> OperatorUnsupported:
        """The error for what no kernel here computes."""
        name, kind = self.operator.outputs[0], self.operator.kind
        return OperatorUnsupported(
            f"The emulator of {self.dialect} does not compute {kind} {name!r}: {reason}", tensor=name, operator=kind
        )

    def clamp(self, values: Integers) -> Values:
        """Values of the output within its element type and fused activation, as stored."""
        low, high = self._range
        return np.clip(values, low, high).astype(self.output.dtype)

    @property
    def _range(self) -> tuple[int, int]:
        fused = str(self.operator.attributes.get("fused_activation_function", "NONE"))
        if fused not in _CLAMPS:
            raise self.unsupported(f"{fused} is fused into it")
        limits = np.iinfo(self.output.dtype)  # type: ignore[type-var]  # kernels give integers
        low, high = (stored(self.output, bound) for bound in _CLAMPS[fused])
        return max(limits.min, limits.min if low is None else low), min(
            limits.max, limits.max if high is None else high
        )


def stored(tensor: Tensor, real: float | None) -> int | None:
    """A real in a tensor's integers as TFLite's kernels round it, in float32; it may lie outside the element type."""
    if real is None:
        return None
    return zero_point(tensor) + int(round_half_away(np.float32(real) / scale(tensor)))


def scale(tensor: Tensor) -> np.float32:
    """The only scale of a tensor."""
    return np.float32(parameters(tensor).scale[0])


def zero_point(tensor: Tensor) -> int:
    """The only zero point of a tensor; 0 where its integers stand for themselves."""
    return 0 if tensor.quantisation is None else int(tensor.quantisation.zero_point[0])


def parameters(tensor: Tensor) -> Quantisation:
    """What a tensor's integers stand for.

    Raises:
        OperatorUnsupported: They stand for themselves, where a kernel needs a scale.
    """
    if tensor.quantisation is None:
        raise OperatorUnsupported(f"Tensor {tensor.name!r} ({tensor.dtype}) has no scale", tensor=tensor.name)
    return tensor.quantisation


def centred(values: Values, tensor: Tensor) -> Integers:
    """Stored values without their zero point."""
    return values.astype(np.int64) - zero_point(tensor)
