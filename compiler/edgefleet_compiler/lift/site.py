"""One operator being lifted: its operands in, nodes of the hub out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.lift.hub import AttributeValues, HubBuilder, shape_of
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.tflite.kernel_types import why_no_kernel
from edgefleet_compiler.tflite.options import attribute
from edgefleet_contract.errors import ModelMalformed

TO_NCHW: Final = [0, 3, 1, 2]
TO_NHWC: Final = [0, 2, 3, 1]


class Unliftable(Exception):
    """Why an operator has no way into the hub."""


class Site:
    """An operator with what its lifter needs: operands by position, options, and the hub to add to.

    Args:
        operator: The operator being lifted.
        graph: For its tensors.
        hub: Gets the nodes.

    Raises:
        Unliftable: TFLite has no kernel for the type of its elements.
    """

    def __init__(self, operator: Operator, graph: LoweredGraph, hub: HubBuilder) -> None:
        self.operator = operator
        self.output: Final = graph.tensors[operator.outputs[0]]
        self._graph = graph
        self._hub = hub
        self.require(len(operator.outputs) == 1, f"has {len(operator.outputs)} outputs", "one")
        if reason := why_no_kernel(operator, graph):
            raise Unliftable(reason)

    @property
    def kind(self) -> str:
        """The TFLite operator's name."""
        return self.operator.kind

    @property
    def is_quantised(self) -> bool:
        """Whether the operator's output is stored in integers."""
        return self._hub.is_rounded(self.output.name)

    def require(self, holds: bool, seen: str, expected: str = "") -> None:
        """Refuse an operator that contradicts its definition.

        Raises:
            ModelMalformed: It does not hold.
        """
        if not holds:
            raise ModelMalformed(f"{self.kind} {self.output.name!r} {seen}", expected=expected)

    def option(self, name: str) -> Any:
        """An attribute, or the schema's default."""
        return attribute(self.operator, name)

    def has(self, position: int) -> bool:
        """Whether the operator has an input here; biases may be left out in two ways."""
        return position < len(self.operator.inputs) and self.operator.inputs[position] is not None

    def tensor(self, position: int) -> Tensor:
        """An input's tensor.

        Raises:
            ModelMalformed: The operator has no such input.
        """
        name = self.operator.inputs[position] if position < len(self.operator.inputs) else None
        self.require(name is not None, f"has no input {position}")
        return self._graph.tensors[name or ""]

    def value(self, position: int) -> ir.Value:
        """The value in the hub of an input that the operator computes on."""
        return self._hub.value(self._operand(position).name)

    def any_value(self, position: int) -> ir.Value:
        """The value in the hub of an input whose elements may be of another type than the output's."""
        return self._hub.value(self.tensor(position).name)

    def state(self, position: int) -> ir.Value:
        """What an input that is a state held before this inference.

        Raises:
            Unliftable: It is no state, but computed or constant.
        """
        tensor = self._operand(position)
        if not tensor.variable:
            raise Unliftable(f"its operand {tensor.name!r} is no state")
        return self._hub.state(tensor.name)

    def keep_state(self, position: int, value: ir.Value) -> ir.Value:
        """Let ``value`` be what that state holds afterwards.

        Returns:
            The same, as it is stored.
        """
        return self._hub.keep_state(self.tensor(position).name, value)

    def integers(self, position: int) -> NDArray[np.int64]:
        """An input that says how to compute rather than what from: axes, a permutation, paddings.

        Raises:
            Unliftable: It is not known at compile time.
            ModelMalformed: It does not hold integers.
        """
        tensor = self.tensor(position)
        if tensor.data is None:
            raise Unliftable(f"its operand {tensor.name!r} is computed at run time")
        self.require(np.issubdtype(tensor.dtype, np.integer), f"takes {tensor.name!r} of {tensor.dtype}", "integers")
        return tensor.data.astype(np.int64)

    def constant(self, label: str, array: NDArray[np.generic]) -> ir.Value:
        """A new initializer, named after the operator's output."""
        return self._hub.constant(f"{self.output.name}/{label}", array)

    def transposed(self, position: int, axes: Sequence[int], label: str) -> ir.Value:
        """Such an input with its axes permuted: at once if it is a constant, else by a Transpose."""
        tensor = self._operand(position)
        if tensor.is_constant:
            return self._hub.rearranged(tensor, axes, label)
        return self.permute(self.value(position), axes, label)

    def permute(self, value: ir.Value, axes: Sequence[int], label: str) -> ir.Value:
        """A Transpose of ``value``."""
        shape = shape_of(value)
        return self.emit("Transpose", [value], [shape[axis] for axis in axes], {"perm": list(axes)}, label=label)

    def emit(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        shape: Sequence[int],
        attributes: AttributeValues | None = None,
        *,
        label: str = "",
        dtype: np.dtype[np.generic] | None = None,
    ) -> ir.Value:
        """Append a node.

        Args:
            op_type: ONNX operator.
            inputs: Its operands.
            shape: Of its output.
            attributes: Of the node.
            label: Appended to the name of the operator's output to name the node; "" for the node that does the work,
                which has that name itself.
            dtype: Of its output; that of the operator's output unless given.

        Returns:
            The node's output.
        """
        name = self.output.name
        node = self._hub.node(op_type, inputs, attributes or {}, name=f"{name}/{label}" if label else name)
        result = node.outputs[0]
        self._hub.name_value(result, f"{name}/{label or op_type}")
        result.dtype, result.shape = ir.DataType.from_numpy(dtype or self.output.dtype), ir.Shape(shape)
        return result

    def emit_all(
        self, op_type: str, inputs: Sequence[ir.Value], shapes: Sequence[Sequence[int]], attributes: AttributeValues
    ) -> list[ir.Value]:
        """Append a node with several outputs, all float32, and return them; as ``emit`` otherwise."""
        name = self.output.name
        node = self._hub.node(op_type, inputs, attributes, name=name, outputs=len(shapes))
        for index, (result, shape) in enumerate(zip(node.outputs, shapes, strict=True)):
            self._hub.name_value(result, f"{name}/{op_type}/{index}")
            result.dtype, result.shape = ir.DataType.FLOAT, ir.Shape(shape)
        return list(node.outputs)

    def finish(self, value: ir.Value) -> None:
        """Let ``value`` stand for the operator's output.

        Raises:
            ModelMalformed: The file declares another shape for it.
        """
        shape = list(shape_of(value))
        self.require(list(self.output.shape) == shape, f"declares the shape {list(self.output.shape)}", f"{shape}")
        self._hub.stands_for(value, self.output.name)

    def _operand(self, position: int) -> Tensor:
        tensor = self.tensor(position)
        self.require(
            tensor.dtype == self.output.dtype, f"takes {tensor.name!r} of {tensor.dtype}", str(self.output.dtype)
        )
        return tensor
