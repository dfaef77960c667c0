"""Models that compute the same as before, with a channel that spoils int8: multiplied in what writes it, divided after.

The walk from a value to all that writes and reads its channels is written out here, apart from the product's own, so
that tests compare two ways of thinking.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import constant, name_of, shape_of

_KEEPING = ("AveragePool", "GlobalAveragePool", "MaxPool", "Relu")


@dataclass(frozen=True)
class Spoiled:
    """A spoiled model, and what was done to it.

    Attributes:
        model: Computes what the original does, up to rounding of float32.
        activation: Name of the Relu's output.
        layer: Name of the node that the Relu is fused into.
        channel: Which was multiplied.
        factor: By how much.
    """

    model: ir.Model
    activation: str
    layer: str
    channel: int
    factor: float


def spoiled(model: ir.Model, seed: int) -> Spoiled:
    """Multiply a channel, drawn at random, of a Relu, drawn at random, by 10 to 1,000."""
    random = np.random.default_rng(seed)
    copy = model.clone()
    places = [place for node in copy.graph if node.op_type == "Relu" and (place := _place(node)) is not None]
    output, around = places[random.integers(len(places))]
    channel, factor = int(random.integers(shape_of(output)[1])), float(10 ** random.uniform(1, 3))
    for node in around.writers:
        _multiply(copy.graph, node, 1, (channel,), factor)
        _multiply(copy.graph, node, 2, (channel,), factor)
    for node in around.readers:
        depthwise = node.op_type == "Conv" and node.attributes["group"].as_int() > 1
        _multiply(copy.graph, node, 1, (channel,) if depthwise else (slice(None), channel), 1 / factor)
    producer = output.producer()
    assert producer is not None
    source = producer.inputs[0]
    assert source is not None
    layer = source.producer()
    assert layer is not None
    return Spoiled(copy, name_of(output), layer.name or "", channel, factor)


@dataclass
class _Around:
    """Weighted nodes that write, and that read, the channels of a value."""

    writers: list[ir.Node]
    readers: list[ir.Node]
    seen: set[ir.Value]

    def visit(self, value: ir.Value) -> bool:
        """Follow the value both ways; False where something else handles its channels."""
        if value in self.seen:
            return True
        self.seen.add(value)
        producer = value.producer()
        if producer is None or value.is_graph_output():
            return False
        return self._visit_producer(producer) and all(self._visit_reader(node, value) for node in value.consumers())

    def _visit_producer(self, node: ir.Node) -> bool:
        if node.op_type in ("Conv", "Gemm"):
            self.writers.append(node)
            return True
        if node.op_type in _KEEPING or (node.op_type == "Reshape" and _only_flattens(node)):
            return node.inputs[0] is not None and self.visit(node.inputs[0])
        return node.op_type == "Add" and all(
            value is not None and constant(value) is None and self.visit(value) for value in node.inputs
        )

    def _visit_reader(self, node: ir.Node, value: ir.Value) -> bool:
        if node.op_type in ("Conv", "Gemm"):
            self.readers.append(node)
            return True
        keeps = node.op_type in (*_KEEPING, "Add") or (node.op_type == "Reshape" and _only_flattens(node))
        return keeps and self.visit(node.outputs[0])


def _place(relu: ir.Node) -> tuple[ir.Value, _Around] | None:
    around = _Around([], [], set())
    return (relu.outputs[0], around) if around.visit(relu.outputs[0]) else None


def _only_flattens(node: ir.Node) -> bool:
    source = node.inputs[0]
    assert source is not None
    return shape_of(source)[:2] == shape_of(node.outputs[0]) and all(size == 1 for size in shape_of(source)[2:])


def _multiply(graph: ir.Graph, node: ir.Node, index: int, place: tuple[int | slice, ...], factor: float) -> None:
    value = node.inputs[index]
    assert value is not None
    given = constant(value)
    assert given is not None
    array = given.copy()
    array[place] *= np.float32(factor)
    name = f"{name_of(value)}/spoiled"
    new = ir.Value(name=name, shape=value.shape, type=value.type, const_value=ir.Tensor(array, name=name))
    graph.register_initializer(new)
    node.replace_input_with(index, new)
