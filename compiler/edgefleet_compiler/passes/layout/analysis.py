"""Which layout each value should have, so that the fewest Transposes are left.

A value's layout is the permutation in which it is stored. Agile operators (``agile``) tie their values to one layout,
and a Transpose ties its two ends to layouts that differ by its permutation, so that it costs nothing. Tied values form
components; within one, a single choice decides every layout (union-find with offsets in the permutation group,
after Tarjan 1979, "Applications of path compression on balanced trees", section on weighted forests).

Rigid operators want their values in the source's order. Each component takes the choice that pleases most of them;
inputs and outputs of the graph are asked last, since a Transpose at the border is allowed and one inside is not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from edgefleet_compiler.hub.graph import activation_inputs, activations, integer, integers, rank_of
from edgefleet_compiler.hub.operators import REDUCTIONS
from edgefleet_compiler.passes.layout.agile import tied_values
from edgefleet_compiler.passes.layout.flatten import order_of_reading, order_of_writing
from edgefleet_compiler.passes.layout.permutation import Permutation, compose, identity, inverse
from edgefleet_compiler.passes.reductions import reduced_axes

Predicate = Callable[[Permutation], bool]


@dataclass
class Assignment:
    """The result.

    Attributes:
        layouts: Of every activation with two or more dimensions.
        agile: The nodes that follow the layout of their values.
        absorbed: The Transposes that cost nothing: the layouts of their ends differ by their permutation.
    """

    layouts: dict[ir.Value, Permutation]
    agile: set[ir.Node] = field(default_factory=set)
    absorbed: set[ir.Node] = field(default_factory=set)


def assign_layouts(graph: ir.Graph) -> Assignment:
    """Choose a layout for every activation of the graph."""
    values = [value for value in activations(graph) if rank_of(value) >= 2]
    forest = _Forest(values)
    assignment = Assignment({})
    for node in graph:
        if node.op_type == "Transpose":
            if forest.tie(_input(node), node.outputs[0], permutation_of(node)):
                assignment.absorbed.add(node)
        elif (tied := tied_values(node)) and _tie_all(forest, tied):
            assignment.agile.add(node)
    inner, border = _demands(graph, assignment)
    for component in forest.components():
        chosen = max(_candidates(component), key=lambda root: _pleased(component, root, inner, border))
        for value, offset in component:
            assignment.layouts[value] = compose(offset, chosen)
    return assignment


def permutation_of(node: ir.Node) -> Permutation:
    """The permutation of a Transpose; reversal where it names none."""
    return integers(node, "perm") or identity(rank_of(_input(node)))[::-1]


def reduction_accepts(node: ir.Node, layout: Permutation) -> bool:
    """Whether a reduction that drops its axes may read its input in this layout: the axes kept stay in order."""
    axes = reduced_axes(node, len(layout))
    if axes is None:
        return False
    kept = [axis for axis in layout if axis not in axes]
    return kept == sorted(kept)


class _Forest:
    """Union-find in which each value knows its layout as ``compose(offset, layout of its root)``."""

    def __init__(self, values: Iterable[ir.Value]) -> None:
        self._parent = {value: (value, identity(rank_of(value))) for value in values}

    def find(self, value: ir.Value) -> tuple[ir.Value, Permutation]:
        """The root of the value's component, and the offset from it."""
        parent, offset = self._parent[value]
        if parent is value:
            return value, offset
        root, above = self.find(parent)
        self._parent[value] = (root, compose(offset, above))
        return self._parent[value]

    def tie(self, first: ir.Value, second: ir.Value, difference: Permutation) -> bool:
        """Demand layout(first) = compose(difference, layout(second)); False if that contradicts earlier ties."""
        if first not in self._parent or second not in self._parent:
            return False
        root, offset = self.find(first)
        other, other_offset = self.find(second)
        wanted = compose(inverse(offset), compose(difference, other_offset))
        if root is other:
            return wanted == identity(len(wanted))
        self._parent[root] = (other, wanted)
        return True

    def components(self) -> list[list[tuple[ir.Value, Permutation]]]:
        """The values of each component with their offsets, in the order of the graph."""
        members: dict[ir.Value, list[tuple[ir.Value, Permutation]]] = defaultdict(list)
        for value in self._parent:
            root, offset = self.find(value)
            members[root].append((value, offset))
        return list(members.values())


def _tie_all(forest: _Forest, values: list[ir.Value]) -> bool:
    """Tie values to one layout, all or none: a node with one value out of line is rigid."""
    difference = identity(rank_of(values[0]))
    roots: dict[ir.Value, Permutation] = {}
    for value in values:
        root, offset = forest.find(value)
        if roots.setdefault(root, offset) != offset:
            return False
    return all(forest.tie(values[0], value, difference) for value in values[1:])


def _demands(
    graph: ir.Graph, assignment: Assignment
) -> tuple[dict[ir.Value, list[Predicate]], dict[ir.Value, list[Predicate]]]:
    """What rigid nodes, and what the graph's border, ask of layouts."""
    inner: dict[ir.Value, list[Predicate]] = defaultdict(list)
    for node in graph:
        if node in assignment.agile or node in assignment.absorbed:
            continue
        for value in activation_inputs(node):
            inner[value].append(_reading_demand(node))
        for value in node.outputs:
            inner[value].append(_writing_demand(node))
    border: dict[ir.Value, list[Predicate]] = {value: [_is_identity] for value in (*graph.inputs, *graph.outputs)}
    return inner, border


def _reading_demand(node: ir.Node) -> Predicate:
    if node.op_type == "Reshape":
        return lambda layout: order_of_reading(node, layout) is not None
    if node.op_type in REDUCTIONS and integer(node, "keepdims", 1) == 0:
        return lambda layout: reduction_accepts(node, layout)
    return _is_identity


def _writing_demand(node: ir.Node) -> Predicate:
    if node.op_type == "Reshape":
        return lambda layout: order_of_writing(node, layout) is not None
    return _is_identity


def _is_identity(layout: Permutation) -> bool:
    return layout == identity(len(layout))


def _candidates(component: list[tuple[ir.Value, Permutation]]) -> list[Permutation]:
    """The choices that leave at least one value in the source's order, earlier values first."""
    return list(dict.fromkeys(inverse(offset) for _, offset in component))


def _pleased(
    component: list[tuple[ir.Value, Permutation]],
    root: Permutation,
    inner: dict[ir.Value, list[Predicate]],
    border: dict[ir.Value, list[Predicate]],
) -> tuple[int, int]:
    """How many values have the layout that rigid nodes, and that the border, want, if the root has layout ``root``."""
    counts = [0, 0]
    for value, offset in component:
        layout = compose(offset, root)
        for kind, demands in enumerate((inner, border)):
            wants = demands.get(value, ())
            counts[kind] += bool(wants) and all(accepts(layout) for accepts in wants)
    return counts[0], counts[1]


def _input(node: ir.Node) -> ir.Value:
    assert node.inputs[0] is not None
    return node.inputs[0]
