"""Changing hub graphs so that names stay unique and every value has a type and a static shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import dtype_of, name_of, shape_of

AttributeValue = int | float | str | Sequence[int] | Sequence[float] | ir.TensorProtocol


class Editor:
    """Adds nodes and constants to one graph, and replaces values in it.

    Make a new one after others changed the graph: it reads the names in use once.

    Args:
        graph: The graph to change, in place.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._values = {value.name for value in graph.inputs} | set(graph.initializers)
        self._values |= {value.name for node in graph for value in node.outputs}
        self._nodes = {node.name for node in graph}

    def value_name(self, base: str) -> str:
        """``base``, or ``base_1``, ``base_2``, … : the first that no value has; taken from now on."""
        return _take(self._values, base)

    def node_name(self, base: str) -> str:
        """The same for nodes."""
        return _take(self._nodes, base)

    def constant(self, array: NDArray[np.generic], name: str) -> ir.Value:
        """A new initializer.

        Args:
            array: Its value.
            name: What to name it after; the real name may get a number.
        """
        name = self.value_name(name)
        tensor = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def constant_node(self, array: NDArray[np.generic], node: ir.Node) -> None:
        """Put a Constant in the place of a node with one output: a graph output cannot be an initializer."""
        tensor = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape))
        self.rewrite(node, "Constant", [], {"value": tensor})

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        *,
        name: str,
        shape: Sequence[int],
        dtype: ir.DataType = ir.DataType.FLOAT,
        attributes: Mapping[str, AttributeValue] | None = None,
        output: str = "",
        before: ir.Node | None = None,
        after: ir.Node | None = None,
    ) -> ir.Value:
        """A new node with one output, which is returned.

        Args:
            op_type: ONNX operator.
            inputs: Its inputs; None where an optional one is left out.
            name: What to name the node after; the real name may get a number.
            shape: Shape of the output.
            dtype: Element type of the output.
            attributes: ONNX attributes.
            output: What to name the output after; the node's name when empty.
            before: The node to stand before.
            after: The node to stand after. Without either the node comes last.
        """
        value = ir.Value(
            name=self.value_name(output or name),
            shape=ir.Shape([int(size) for size in shape]),
            type=ir.TensorType(dtype),
        )
        node = ir.node(op_type, inputs, attributes, outputs=[value], name=self.node_name(name))
        if before is not None:
            self.graph.insert_before(before, node)
        elif after is not None:
            self.graph.insert_after(after, node)
        else:
            self.graph.append(node)
        return value

    def rewrite(
        self,
        node: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, AttributeValue] | None = None,
        shape: Sequence[int] | None = None,
    ) -> ir.Value:
        """Put another operator in the place of a node with one output; name, type and uses stay.

        Args:
            node: The node to replace; it leaves the graph.
            op_type: The new operator.
            inputs: Its inputs.
            attributes: Its attributes.
            shape: The output's shape where it changes.

        Returns:
            The new node's output, under the name of the old.
        """
        old = node.outputs[0]
        name, output = node.name or op_type, name_of(old)
        new = self.node(
            op_type,
            inputs,
            name=name,
            shape=shape if shape is not None else shape_of(old),
            dtype=dtype_of(old),
            attributes=attributes,
            before=node,
        )
        self.replace(old, new)
        self.graph.remove(node, safe=True)
        producer = new.producer()
        assert producer is not None
        producer.name = name
        if new.name != output:
            new.name = output
        return new

    def replace(self, old: ir.Value, new: ir.Value) -> None:
        """Let ``new`` stand wherever ``old`` stood; the graph's outputs keep their names.

        ``new`` must not be an input, an output or an initializer of the graph where ``old`` is an output of it
        (``may_replace`` tells).
        """
        if old.is_graph_output():
            name = name_of(old)
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            old.name = self.value_name(f"{name}/replaced")
            new.name = name
        else:
            old.replace_all_uses_with(new)

    def bypass(self, node: ir.Node) -> bool:
        """Remove a node whose first output is its first input.

        Returns:
            False, with nothing changed, where the node gives a graph output a name that its input cannot take.
        """
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        if not may_replace(output, source):
            return False
        self.replace(output, source)
        self.graph.remove(node, safe=True)
        return True


def may_replace(old: ir.Value, new: ir.Value) -> bool:
    """Whether ``new`` can take the place of ``old`` without a graph output losing its name."""
    named_by_the_graph = new.is_graph_input() or new.is_graph_output() or new.is_initializer()
    return not (old.is_graph_output() and named_by_the_graph)


def _take(names: set[str | None], base: str) -> str:
    name, number = base, 0
    while name in names:
        number += 1
        name = f"{base}_{number}"
    names.add(name)
    return name
