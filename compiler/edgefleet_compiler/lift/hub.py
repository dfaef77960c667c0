"""Builds the hub, value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.lowered.graph import LoweredGraph, Tensor

AttributeValues = Mapping[str, int | float | str | list[int]]
_OPSET: Final = 21
# The ONNX IR version that came with opset 21 (ONNX 1.16).
_IR_VERSION: Final = 10


class HubBuilder:
    """An ONNX graph under construction.

    Args:
        graph: Float graph whose inputs and outputs the hub will have.
    """

    def __init__(self, graph: LoweredGraph) -> None:
        self._graph = graph
        self._values: dict[str, ir.Value] = {}
        self._nodes: list[ir.Node] = []
        self._node_names: set[str] = set()
        self._rearranged: dict[tuple[str, tuple[int, ...]], ir.Value] = {}
        # A tensor's name is kept free for the value that will stand for it.
        self._value_names = set(graph.tensors)
        for name in graph.inputs:
            self._values[name] = ir.val(name, ir.DataType.FLOAT, graph.tensors[name].shape)

    def value(self, name: str) -> ir.Value:
        """The value that stands for a tensor; a constant becomes an initializer when first asked for."""
        if name not in self._values:
            tensor = self._graph.tensors[name]
            if tensor.data is None:
                # Its operator could not be lifted, and is reported; what follows is lifted to find all such.
                return ir.val(name, ir.DataType.FLOAT, tensor.shape)
            self._values[name] = _initializer(name, tensor.data)
        return self._values[name]

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
            self._rearranged[key] = self.constant(f"{tensor.name}/{label}", tensor.data.transpose(axes))
        return self._rearranged[key]

    def node(self, op_type: str, inputs: Sequence[ir.Value], attributes: AttributeValues, *, name: str) -> ir.Node:
        """Append a node.

        Args:
            op_type: An operator of the default domain.
            inputs: Its operands.
            attributes: Its attributes.
            name: Its name, made unique.
        """
        node = ir.node(op_type, inputs, attributes, name=self._fresh(name, self._node_names))
        self._nodes.append(node)
        return node

    def name_value(self, value: ir.Value, name: str) -> None:
        """Name a node's output, ``name`` if that is free."""
        value.name = self._fresh(name, self._value_names)

    def stands_for(self, value: ir.Value, name: str) -> None:
        """Make ``value``, a node's output, the one that stands for tensor ``name``."""
        value.name = name
        self._values[name] = value

    def model(self) -> ir.Model:
        """The finished model: initializers are those that some node reads."""
        read = {value.name: value for node in self._nodes for value in node.inputs if value is not None}
        graph = ir.Graph(
            [self._values[name] for name in self._graph.inputs],
            [self._values[name] for name in self._graph.outputs],
            nodes=self._nodes,
            initializers=[value for value in read.values() if value.const_value is not None],
            opset_imports={"": _OPSET},
            name="hub",
        )
        return ir.Model(graph, ir_version=_IR_VERSION, producer_name="edgefleet")

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
    return ir.val(name, const_value=ir.tensor(np.ascontiguousarray(array), name=name))
