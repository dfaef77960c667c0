"""Builds the hub, value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.lift.stored import transposed
from edgefleet_compiler.lowered.graph import LoweredGraph, Tensor

AttributeValues = Mapping[str, int | float | str | list[int]]
_OPSET: Final = 21
# The ONNX IR version that came with opset 21 (ONNX 1.16).
_IR_VERSION: Final = 10


class HubBuilder:
    """An ONNX graph under construction.

    Args:
        graph: Float graph whose inputs and outputs the hub will have.
        constants: Those of its constants that stay integers, as they are stored; float ones otherwise.
        activations: Those of its activations that are rounded to integers, with their parameters.
    """

    def __init__(
        self,
        graph: LoweredGraph,
        constants: Mapping[str, Tensor] | None = None,
        activations: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._graph = graph
        self._constants = constants or {}
        self._activations = activations or {}
        self._inputs: list[ir.Value] = []
        self._next_states: list[ir.Value] = []
        self._values: dict[str, ir.Value] = {}
        self._nodes: list[ir.Node] = []
        self._node_names: set[str] = set()
        self._rearranged: dict[tuple[str, tuple[int, ...]], ir.Value] = {}
        # A tensor's name is kept free for the value that will stand for it.
        self._value_names = set(graph.tensors)
        for name in graph.inputs:
            self._add_input(name)

    def value(self, name: str) -> ir.Value:
        """The value that stands for a tensor; a constant becomes an initializer when first asked for."""
        if name not in self._values:
            tensor = self._graph.tensors[name]
            if tensor.data is None:
                # Its operator could not be lifted, and is reported; what follows is lifted to find all such.
                return ir.val(name, ir.DataType.from_numpy(tensor.dtype), tensor.shape)
            stored = self._constants.get(name)
            self._values[name] = self._dequantised(stored) if stored is not None else _initializer(name, tensor.data)
        return self._values[name]

    def state(self, name: str) -> ir.Value:
        """What a state held before this inference: an input of its own, since ONNX keeps none."""
        self._add_input(name)
        return self._values[name]

    def keep_state(self, name: str, value: ir.Value) -> ir.Value:
        """Let ``value`` be what the state holds after this inference: an output of its own.

        Returns:
            The same, as it is stored.
        """
        kept = self._rounded(value, name, f"{name}/next")
        self._next_states.append(kept)
        return kept

    def is_rounded(self, name: str) -> bool:
        """Whether an activation is stored in integers."""
        return name in self._activations

    def constant(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        """A new initializer, named ``name`` if that is free."""
        unique = self._fresh(name, self._value_names)
        self._values[unique] = _initializer(unique, array)
        return self._values[unique]

    def rearranged(self, tensor: Tensor, axes: Sequence[int], label: str) -> ir.Value:
        """A constant with its axes permuted; one initializer however many operators read it.

        Args:
            tensor: A constant.
            axes: As ``numpy.transpose`` takes them.
            label: Appended to the tensor's name to name the initializer.
        """
        assert tensor.data is not None, f"{tensor.name} is a constant"
        key = (tensor.name, tuple(axes))
        if key not in self._rearranged:
            stored = self._constants.get(tensor.name)
            if stored is not None:
                renamed = replace(
                    transposed(stored, axes), name=self._fresh(f"{tensor.name}/{label}", self._value_names)
                )
                self._rearranged[key] = self._dequantised(renamed)
            else:
                self._rearranged[key] = self.constant(f"{tensor.name}/{label}", tensor.data.transpose(axes))
        return self._rearranged[key]

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        attributes: AttributeValues,
        *,
        name: str,
        outputs: int = 1,
    ) -> ir.Node:
        """Append a node.

        Args:
            op_type: An operator of the default domain.
            inputs: Its operands.
            attributes: Its attributes.
            name: Its name, made unique.
            outputs: How many it has.
        """
        node = ir.node(op_type, inputs, attributes, name=self._fresh(name, self._node_names), num_outputs=outputs)
        self._nodes.append(node)
        return node

    def name_value(self, value: ir.Value, name: str) -> None:
        """Name a node's output, ``name`` if that is free."""
        value.name = self._fresh(name, self._value_names)

    def stands_for(self, value: ir.Value, name: str) -> None:
        """Make ``value``, a node's output, the one that stands for tensor ``name``, rounded if that is."""
        if name in self._activations:
            self.name_value(value, f"{name}/raw")
            self._values[name] = self._rounded(value, name, name)
        else:
            value.name = name
            self._values[name] = value

    def model(self) -> ir.Model:
        """The finished model: initializers are those that some node reads."""
        read = {value.name: value for node in self._nodes for value in node.inputs if value is not None}
        graph = ir.Graph(
            self._inputs,
            [*(self._values[name] for name in self._graph.outputs), *self._next_states],
            nodes=self._nodes,
            initializers=[value for value in read.values() if value.const_value is not None],
            opset_imports={"": _OPSET},
            name="hub",
        )
        return ir.Model(graph, ir_version=_IR_VERSION, producer_name="edgefleet")

    def _add_input(self, name: str) -> None:
        tensor = self._graph.tensors[name]
        given = ir.val(name, ir.DataType.from_numpy(tensor.dtype), tensor.shape)
        self._inputs.append(given)
        self._values[name] = self._rounded(given, name, f"{name}/dequantised") if self.is_rounded(name) else given

    def _rounded(self, value: ir.Value, tensor: str, name: str) -> ir.Value:
        """``value`` through a pair with the parameters of a tensor; itself if that is float.

        Args:
            value: Real numbers.
            tensor: Name of the tensor.
            name: Of the result.
        """
        stored = self._activations.get(tensor)
        if stored is None:
            value.name = name
            return value
        assert stored.quantisation is not None
        parameters = self._parameters(stored)
        quantised = self.node("QuantizeLinear", [value, *parameters], {}, name=f"{name}/quantise").outputs[0]
        self.name_value(quantised, f"{name}/quantised")
        quantised.dtype, quantised.shape = ir.DataType.from_numpy(stored.dtype), ir.Shape(shape_of(value))
        result = self.node("DequantizeLinear", [quantised, *parameters], {}, name=f"{name}/dequantise").outputs[0]
        result.name, result.dtype, result.shape = name, ir.DataType.FLOAT, ir.Shape(shape_of(value))
        return result

    def _dequantised(self, stored: Tensor) -> ir.Value:
        """A constant that stays integers, as the reals that they stand for."""
        assert stored.data is not None
        assert stored.quantisation is not None
        integers = self.constant(f"{stored.name}/stored", stored.data)
        attributes = {"axis": stored.quantisation.axis} if stored.quantisation.per_channel else {}
        node = self.node(
            "DequantizeLinear", [integers, *self._parameters(stored)], attributes, name=f"{stored.name}/dequantise"
        )
        result = node.outputs[0]
        result.name, result.dtype, result.shape = stored.name, ir.DataType.FLOAT, ir.Shape(stored.shape)
        return result

    def _parameters(self, stored: Tensor) -> tuple[ir.Value, ir.Value]:
        """Scale and zero point as initializers: scalars, or one a channel."""
        quantisation = stored.quantisation
        assert quantisation is not None
        shape = (-1,) if quantisation.per_channel else ()
        scale = quantisation.scale.astype(np.float32).reshape(shape)
        zero_point = quantisation.zero_point.astype(stored.dtype).reshape(shape)
        return self.constant(f"{stored.name}/scale", scale), self.constant(f"{stored.name}/zero_point", zero_point)

    @staticmethod
    def _fresh(name: str, taken: set[str]) -> str:
        unique, number = name, 1
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        return unique


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The shape of a value of the hub, where every shape is known and static."""
    assert value.shape is not None, f"{value.name} has a shape"
    return value.shape.numpy()


def _initializer(name: str, array: NDArray[np.generic]) -> ir.Value:
    contiguous = np.ascontiguousarray(array).reshape(array.shape)  # numpy makes a vector of a scalar
    return ir.val(name, const_value=ir.tensor(contiguous, name=name))
