"""Where pairs of QuantizeLinear and DequantizeLinear stand, and which share their parameters.

The rule (design, "QDQ placement"): one pair per activation, after the fused activation. Operators of ``SHARING`` have
one set of parameters for inputs and output, so that values fall into groups (union-find). A group is quantised if an
operator that computes in integers writes or reads one of its values; values between operators that stay float have
none. What each operator computes with says ``layers``.

A group is stored in the widest integers that those ask for who compute its values; where only operators in float do,
in the widest that its readers ask for. An operator that computes with others gets the value through a second pair.

Softmax, Sigmoid and Tanh prescribe parameters. A group fed by nothing but such values takes theirs. In a group with
others, say where a Concat joins a Sigmoid with a convolution, the prescribed value keeps its own pair, and what reads
it within the group gets it through a second pair with the group's parameters: a rescaling. So does a value whose
operator computes with narrower integers than the group's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import activation_inputs, activations, constant, is_float
from edgefleet_compiler.quantise.layers import Layers, layers_of, widest
from edgefleet_compiler.quantise.operators import MOVING, SHARING, data_inputs, fixed_parameters, is_quantisable
from edgefleet_compiler.quantise.parameters import IntegerType, Parameters


@dataclass
class Group:
    """Activations that share parameters.

    Attributes:
        values: The members, in the order of the graph.
        dtype: The integers that they are stored in.
        fixed: The parameters that an operator prescribes; None where the data decides.
        constants: Constant operands that are stored with the group's parameters.
    """

    values: list[ir.Value]
    dtype: IntegerType
    fixed: Parameters | None
    constants: list[ir.Value]

    @property
    def observed(self) -> list[ir.Value]:
        """The members whose ranges make up the group's range; the others only repeat some of their elements."""
        if self.fixed is not None:
            return []
        members = set(self.values)
        return [value for value in self.values if not _repeats(value, members)]

    def constant_range(self) -> tuple[float, float]:
        """The range of the constants; (0, 0) without any."""
        arrays = [constant(value) for value in self.constants]
        present = [array for array in arrays if array is not None]
        return min((float(array.min()) for array in present), default=0.0), max(
            (float(array.max()) for array in present), default=0.0
        )


@dataclass(frozen=True)
class Own:
    """How a value is stored that cannot have the parameters of its group.

    Attributes:
        dtype: The integers that its operator gives.
        fixed: The parameters that its operator prescribes; None where the data decides.
    """

    dtype: IntegerType
    fixed: Parameters | None


@dataclass
class Placement:
    """The result.

    Attributes:
        layers: What each node computes with.
        nodes: The nodes that compute in integers, in order.
        groups: The groups that are quantised.
        own: Values that have other parameters than their group: their own pair comes first.
    """

    layers: Layers
    nodes: list[ir.Node]
    groups: list[Group]
    own: dict[ir.Value, Own]

    def observed(self) -> list[ir.Value]:
        """Every value whose range calibration has to find, in the order of the groups."""
        return [value for group in self.groups for value in group.observed]


def place(graph: ir.Graph, layers: Layers | None = None) -> Placement:
    """Apply the rule to a graph in hub normal form.

    Args:
        graph: Float.
        layers: What each node computes with; int8 wherever it can if left out.
    """
    layers = layers or layers_of(graph)
    forest = _Forest([value for value in activations(graph) if is_float(value) and not layers.is_fused(value)])
    nodes = [node for node in graph if layers.integers_of(node) is not None]
    for node in nodes:
        if node.op_type in SHARING:
            for value in (*node.outputs[1:], *_shared(node)):
                forest.join(node.outputs[0], value)
    computing = [node for node in nodes if node.op_type not in MOVING]
    anchors = {
        forest.root(value)
        for node in computing
        for value in (*activation_inputs(node), *node.outputs)
        if value in forest
    }
    placement = Placement(layers, [], [], {})
    for root, values in forest.groups().items():
        if root in anchors:
            placement.groups.append(_group(values, layers, placement.own))
    quantised = {value for group in placement.groups for value in group.values}
    placement.nodes = [node for node in nodes if layers.is_fused(node.outputs[0]) or node.outputs[0] in quantised]
    return placement


def _shared(node: ir.Node) -> list[ir.Value]:
    """The activations that share parameters with the output."""
    return [value for value in _data(node) if constant(value) is None]


def _data(node: ir.Node) -> list[ir.Value]:
    values = [node.inputs[index] for index in data_inputs(node)]
    return [value for value in values if value is not None]


def _group(values: list[ir.Value], layers: Layers, own: dict[ir.Value, Own]) -> Group:
    """A group of its members; what has parameters that the group cannot take is noted in ``own``."""
    members = set(values)
    dtype = _type_of_group(values, layers)
    sources = [value for value in values if not _is_shared_output(value, members)]
    given = {value: layers.integers_of(value.producer()) or dtype for value in sources}
    prescribed = {value: fixed for value in sources if (fixed := fixed_parameters(value, given[value])) is not None}
    constants = [
        operand
        for value in values
        if (producer := value.producer()) is not None and producer.op_type in SHARING
        for operand in _data(producer)
        if constant(operand) is not None
    ]
    common = next(iter(prescribed.values())) if len(set(prescribed.values())) == 1 else None
    if common is not None and common.dtype == dtype and len(prescribed) == len(sources) and not constants:
        return Group(values, dtype, common, constants)
    for value in sources:
        if value in prescribed or given[value] != dtype:
            own[value] = Own(given[value], prescribed.get(value))
    return Group(values, dtype, None, constants)


def _type_of_group(values: list[ir.Value], layers: Layers) -> IntegerType:
    """The widest integers that who computes the values asks for; who reads them, where nobody does."""
    writers = [value.producer() for value in values]
    readers = [node for value in values for node in value.consumers()]
    for nodes in (writers, readers):
        asked = [node for node in nodes if node is not None and layers.asks(node)]
        types = [dtype for node in asked if (dtype := layers.integers_of(node)) is not None]
        if types:
            return "int16" if widest(types) == "int16" else "int8"
    return layers.default


def _is_shared_output(value: ir.Value, members: set[ir.Value]) -> bool:
    """Whether a member of a group is made of others; what makes it of masked values does not join it to them."""
    producer = value.producer()
    return (
        producer is not None
        and producer.op_type in SHARING
        and is_quantisable(producer)
        and members.issuperset(_shared(producer))
    )


def _repeats(value: ir.Value, members: set[ir.Value]) -> bool:
    """Whether the value has no elements outside the range of what it is made from, zero included."""
    producer = value.producer()
    if producer is None or not _is_shared_output(value, members):
        return False
    filling = constant(producer.inputs[2]) if producer.op_type == "Pad" and len(producer.inputs) > 2 else None
    return filling is None or not np.any(filling)


class _Forest:
    """Union-find over values, whose groups come out in the order of the graph."""

    def __init__(self, values: list[ir.Value]) -> None:
        self._parent = {value: value for value in values}

    def __contains__(self, value: ir.Value) -> bool:
        return value in self._parent

    def root(self, value: ir.Value) -> ir.Value:
        while self._parent[value] is not value:
            self._parent[value] = value = self._parent[self._parent[value]]
        return value

    def join(self, first: ir.Value, second: ir.Value) -> None:
        self._parent[self.root(first)] = self.root(second)

    def groups(self) -> dict[ir.Value, list[ir.Value]]:
        members: dict[ir.Value, list[ir.Value]] = defaultdict(list)
        for value in self._parent:
            members[self.root(value)].append(value)
        return members
