"""The lowered graph: typed, NHWC, with the semantics of TFLite's operators.

Here nothing may change but cost. An operator's ``kind`` is the name of TFLite's ``BuiltinOperator`` and its
``attributes`` are the fields of that operator's options table (``schema.fbs``), names and enumerations spelled as
there (``padding="SAME"``, ``fused_activation_function="RELU6"``), so that reader and writer need no code per operator.

Tensors are named, and names are unique in a graph. Each tensor has at most one producer: an operator, the graph's
inputs, or ``data`` (a constant).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

AttributeValue = bool | int | float | str | list[int] | list[float]


@dataclass(frozen=True)
class Quantisation:
    """Affine parameters: real = scale * (stored - zero_point).

    Attributes:
        scale: float32, shape (1,) per tensor or (channels,) per channel.
        zero_point: int64, the shape of ``scale``.
        axis: The channel axis when per channel; 0 when per tensor.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        """Whether each channel has parameters of its own."""
        return self.scale.size > 1


def same_parameters(one: Quantisation | None, other: Quantisation | None) -> bool:
    """Whether two tensors of equal stored values hold equal reals."""
    if one is None or other is None:
        return one is other
    return (
        one.axis == other.axis
        and np.array_equal(one.scale, other.scale)
        and np.array_equal(one.zero_point, other.zero_point)
    )


@dataclass
class Tensor:
    """A value of the graph.

    Attributes:
        name: Unique in the graph.
        shape: Static; 4-D activations are N, H, W, C.
        dtype: The stored element type; float16 only for constants.
        quantisation: None for float tensors and for integer tensors that are indices or shapes.
        data: The value of a constant, of ``shape`` and ``dtype``; None for activations.
        variable: Whether it is the state of the one operator that reads it, kept from inference to inference; zeros
            before the first.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    quantisation: Quantisation | None = None
    data: NDArray[np.generic] | None = None
    variable: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether the value is known at compile time."""
        return self.data is not None


@dataclass
class Operator:
    """One operator: ``kind`` and ``attributes`` as in TFLite's schema.

    Attributes:
        kind: Name of the ``BuiltinOperator``, for example ``DEPTHWISE_CONV_2D``.
        inputs: Tensor names in the schema's order; None where an optional input is left out.
        outputs: Tensor names.
        attributes: Fields of the operator's options table; absent fields have the schema's default.
        source: Name of the node of the source model that this came from, for reports.
    """

    kind: str
    inputs: list[str | None]
    outputs: list[str]
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    source: str = ""

    def integer(self, name: str, default: int = 0) -> int:
        """An attribute that is an integer."""
        value = self.attributes.get(name, default)
        assert isinstance(value, int)
        return value


@dataclass
class LoweredGraph:
    """Operators in execution order over named tensors.

    Attributes:
        tensors: Every tensor by name.
        operators: In an order that respects data dependencies.
        inputs: Names of the graph's inputs, in the source's order.
        outputs: Names of the graph's outputs, in the source's order.
        stored_axes: For each input or output whose axis order is not the source's: the source's axis at each position,
            (0, 2, 3, 1) for an image that came as N, C, H, W and is taken as N, H, W, C.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    stored_axes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def add_tensor(self, tensor: Tensor) -> str:
        """Add a tensor under its own name; a second tensor of the same name is an error of ours.

        Raises:
            ValueError: The name is taken.
        """
        if tensor.name in self.tensors:
            raise ValueError(f"tensor {tensor.name!r} is in the graph already")
        self.tensors[tensor.name] = tensor
        return tensor.name

    def fresh_name(self, base: str) -> str:
        """``base``, or ``base_1``, ``base_2``, … : one that no tensor has."""
        if base not in self.tensors:
            return base
        number = self._numbers.get(base, 1)  # where to look from: a net unrolled over time asks for hundreds
        while f"{base}_{number}" in self.tensors:
            number += 1
        self._numbers[base] = number
        return f"{base}_{number}"

    def rename(self, old: str, new: str) -> None:
        """Give a tensor another name, everywhere it is used.

        Raises:
            ValueError: The new name is taken.
        """
        tensor = self.tensors.pop(old)
        tensor.name = new
        self.add_tensor(tensor)
        for operator in self.operators:
            operator.inputs = [new if name == old else name for name in operator.inputs]
            operator.outputs = [new if name == old else name for name in operator.outputs]
        self.inputs = [new if name == old else name for name in self.inputs]
        self.outputs = [new if name == old else name for name in self.outputs]

    def constants(self) -> Iterator[Tensor]:
        """The tensors whose value is known at compile time."""
        return (tensor for tensor in self.tensors.values() if tensor.is_constant)

    def copy(self) -> LoweredGraph:
        """A graph that can be changed without changing this one; constants are shared."""
        return LoweredGraph(
            tensors={name: replace(tensor) for name, tensor in self.tensors.items()},
            operators=[
                replace(
                    operator,
                    inputs=list(operator.inputs),
                    outputs=list(operator.outputs),
                    attributes=dict(operator.attributes),
                )
                for operator in self.operators
            ],
            inputs=list(self.inputs),
            outputs=list(self.outputs),
            stored_axes=dict(self.stored_axes),
        )

    @property
    def states(self) -> list[str]:
        """Names of the tensors that keep their value from inference to inference, in execution order."""
        read = dict.fromkeys(name for operator in self.operators for name in operator.inputs if name is not None)
        return [name for name in read if self.tensors[name].variable]

    def consumers(self, name: str) -> list[Operator]:
        """The operators that read ``name``, in execution order."""
        return [operator for operator in self.operators if name in operator.inputs]

    def producer(self, name: str) -> Operator | None:
        """The operator that writes ``name``; None for inputs and constants."""
        return next((operator for operator in self.operators if name in operator.outputs), None)
