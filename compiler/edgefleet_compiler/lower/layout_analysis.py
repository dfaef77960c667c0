"""Which values are stored channels last, so that the transpositions left are fewest.

Every operator demands an order or follows its neighbours (``Demand``). Choosing one of two orders for each follower,
where each disagreement between a value and those who read it costs one transposition, is a minimum cut. An artifact
keeps its source's axis order at inputs and outputs, so transpositions there cost least, any inside more than all of
those together; equal numbers are decided by the bytes moved.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import onnx_ir as ir

from edgefleet_compiler.hub.graph import byte_size, shape_of
from edgefleet_compiler.lower.constants import constant_of
from edgefleet_compiler.lower.layout import AS_IS, EITHER, Demand, Layout, Need, Shape, as_is, channels_last
from edgefleet_compiler.lower.minimum_cut import Network

Demands = Callable[[ir.Node], Demand]


@dataclass(frozen=True)
class Layouts:
    """The outcome of the analysis.

    Attributes:
        last: The values that are produced, and the operators that compute, channels last.
        images: For each matrix whose rows are flattened images, the images' shape.
    """

    last: frozenset[ir.Value | ir.Node]
    images: dict[ir.Value, Shape]

    def produced(self, value: ir.Value) -> Layout:
        """The order in which ``value`` is written."""
        return self.either(value, value in self.last)

    def read(self, node: ir.Node, value: ir.Value) -> Layout:
        """The order in which ``node`` wants to read ``value``."""
        return self.either(value, node in self.last)

    def either(self, value: ir.Value, last: bool) -> Layout:
        """One of the two orders in which ``value`` may be stored."""
        rank = len(shape_of(value))
        return channels_last(rank, self.images.get(value)) if last else as_is(rank)


def analyse_layouts(graph: ir.Graph, demand_of: Demands, *, native: bool) -> Layouts:
    """Choose the layouts of a graph in normal form.

    Args:
        graph: The hub's graph; nodes in topological order.
        demand_of: What each operator asks.
        native: Whether inputs and outputs may change their axis order, too.
    """
    asked = {node: demand_of(node) for node in graph if _activations(node)}
    images = _flattened_images(asked)
    demands = {node: _settled(node, demand, images) for node, demand in asked.items()}
    problem = _Problem(graph, demands, images, native=native)
    as_they_are = problem.network().source_side()
    last: set[ir.Value | ir.Node] = {value for value in problem.values if problem.written(value) not in as_they_are}
    last |= {node for node, demand in demands.items() if _chosen(node, demand.inputs) not in as_they_are}
    return Layouts(frozenset(last), images)


def _chosen(node: ir.Node, need: Need) -> ir.Node | Need:
    """The vertex that stands for an operator's need: the operator itself where it may choose."""
    return node if need in {Need.EITHER, Need.ANY} else need


def _activations(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs if value is not None and constant_of(value) is None]


def _flattened_images(demands: dict[ir.Node, Demand]) -> dict[ir.Value, Shape]:
    """The matrices that hold images: what a Reshape makes of images or into images, and what follows or feeds that."""
    images: dict[ir.Value, Shape] = {}
    followers = [node for node, demand in demands.items() if demand == EITHER]
    ends = [(_activations(node)[0], node.outputs[0]) for node in followers]
    for known, other in [*ends, *((output, source) for source, output in reversed(ends))]:
        shape = images.get(known) if len(shape_of(known)) == 2 else shape_of(known)
        if shape is not None and len(shape_of(other)) == 2:
            images.setdefault(other, shape)
    return images


def _settled(node: ir.Node, demand: Demand, images: dict[ir.Value, Shape]) -> Demand:
    """``demand``, but as-is where an operator would follow two neighbours that flatten images of different shapes."""
    values = [*_activations(node), *node.outputs]
    if demand != EITHER or all(len(shape_of(value)) != 2 for value in values):
        return demand
    shapes = {images.get(value) if len(shape_of(value)) == 2 else shape_of(value) for value in values}
    return demand if len(shapes) == 1 else AS_IS


class _Problem:
    """The choice as a network: the source's side is stored as it is, the sink's side channels last."""

    def __init__(
        self, graph: ir.Graph, demands: dict[ir.Node, Demand], images: dict[ir.Value, Shape], *, native: bool
    ) -> None:
        self.graph = graph
        self.demands = demands
        self.images = images
        self.native = native
        self.values = [*graph.inputs, *(output for node in demands for output in node.outputs if output.name)]
        self.costs = _costs(self.values, images)

    def written(self, value: ir.Value) -> Hashable:
        """The vertex that stands for the order in which ``value`` is written."""
        producer = value.producer()
        if producer is not None:
            return _chosen(producer, self.demands[producer].output)
        return value if self.native and len(shape_of(value)) > 2 else Need.AS_IS

    def readers(self, value: ir.Value) -> list[Hashable]:
        """The vertices that stand for the orders in which ``value`` is read."""
        uses: list[Hashable] = [
            _chosen(node, self.demands[node].inputs)
            for node, _ in value.uses()
            if self.demands[node].inputs is not Need.ANY
        ]
        if value.is_graph_output() and not (self.native and len(shape_of(value)) > 2):
            uses.append(Need.AS_IS)
        return uses

    def network(self) -> Network[Hashable]:
        """Every disagreement with its cost."""
        network: Network[Hashable] = Network(Need.AS_IS, Need.CHANNELS_LAST)
        forbidden = sum(self.costs.values()) + 1
        for value, cost in self.costs.items():
            written = self.written(value)
            readers = self.readers(value)
            # One transposition serves all readers of the same order, so each order has a vertex that parts at once.
            for order, (tail, head) in {
                Need.CHANNELS_LAST: (written, (value, Need.CHANNELS_LAST)),
                Need.AS_IS: ((value, Need.AS_IS), written),
            }.items():
                network.connect(tail, head, cost)
                for reader in readers:
                    if order is Need.CHANNELS_LAST:
                        network.connect(head, reader, forbidden)
                    else:
                        network.connect(reader, tail, forbidden)
        for node in self.demands:
            if node.op_type == "Transpose":
                self._let_transpose_vanish(network, node)
        for value in self.graph.inputs:
            network.connect(Need.AS_IS, self.written(value), 1)
        return network

    def _let_transpose_vanish(self, network: Network[Hashable], node: ir.Node) -> None:
        """Ask for the layouts between which a Transpose of the source moves nothing.

        Either disagreement alone costs the whole transposition, both together cost no more; a cut can only add, which
        is exact whenever one end is fixed, as it is at inputs and outputs.
        """
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        axes = tuple(node.attributes.get_ints("perm", tuple(reversed(range(len(shape_of(output)))))))
        last = channels_last(len(axes)).axes
        cost = self.costs[source]
        if axes == last:
            network.connect(self.written(source), Need.CHANNELS_LAST, cost)
            network.connect(Need.AS_IS, node, cost)
        elif tuple(axes[position] for position in last) == as_is(len(axes)).axes:
            network.connect(Need.AS_IS, self.written(source), cost)
            network.connect(node, Need.CHANNELS_LAST, cost)


def _costs(values: list[ir.Value], images: dict[ir.Value, Shape]) -> dict[ir.Value, int]:
    """What it costs to have each value in both orders; 0 where they are the same."""
    moved = {value: _bytes_moved(value, images) for value in values}
    outer = {value for value in values if _is_outer(value)}
    at_the_border = 1 + sum(moved.values()) + len(values)
    inside = at_the_border * (len(outer) + 1)
    costs = {}
    for value, size in moved.items():
        layout = channels_last(len(shape_of(value)), images.get(value))
        if size:
            costs[value] = size + (at_the_border if value in outer else inside)
        else:
            costs[value] = int(layout.moves)  # a reshape, without a byte moved
    return costs


def _bytes_moved(value: ir.Value, images: dict[ir.Value, Shape]) -> int:
    """The bytes that a transposition between the two orders moves; 0 where at most one long axis changes place."""
    shape = images.get(value, shape_of(value))
    long_axes = [axis for axis in channels_last(len(shape)).axes if shape[axis] > 1]
    if long_axes == sorted(long_axes):
        return 0
    return byte_size(value)


def _is_outer(value: ir.Value) -> bool:
    """Whether nothing but quantisation lies between ``value`` and the graph's border."""
    return _from_input(value) or _to_output(value)


def _from_input(value: ir.Value) -> bool:
    producer = value.producer()
    if producer is None:
        return True
    source = producer.inputs[0] if producer.op_type in {"QuantizeLinear", "DequantizeLinear"} else None
    return source is not None and _from_input(source)


def _to_output(value: ir.Value) -> bool:
    if value.is_graph_output():
        return True
    return any(
        node.op_type in {"QuantizeLinear", "DequantizeLinear"} and _to_output(node.outputs[0])
        for node, _ in value.uses()
    )
