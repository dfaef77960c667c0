"""Rewriting a graph so that each value lies in the layout chosen for it."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor, may_replace
from edgefleet_compiler.hub.graph import constant, dtype_of, integer, name_of, shape_of
from edgefleet_compiler.hub.operators import REDUCTIONS
from edgefleet_compiler.passes.layout.agile import adapt, adapt_reduction
from edgefleet_compiler.passes.layout.analysis import Assignment, permutation_of, reduction_accepts
from edgefleet_compiler.passes.layout.flatten import FeatureOrder, order_of_reading, order_of_writing
from edgefleet_compiler.passes.layout.permutation import (
    Permutation,
    compose,
    identity,
    inverse,
    keeps_element_order,
    permuted,
)
from edgefleet_compiler.passes.reshapes import reshape, shape_constant


class LayoutRewriter:
    """Goes through the nodes once, in order, and keeps for each value the layouts in which it exists so far.

    A layout that does not exist yet is made by one Transpose at its first use, and shared by later uses.

    Args:
        graph: The graph to rewrite, in place.
        assignment: The layouts.
    """

    def __init__(self, graph: ir.Graph, assignment: Assignment) -> None:
        self._graph = graph
        self._assignment = assignment
        self._editor = Editor(graph)
        self._shapes = {value: shape_of(value) for value in assignment.layouts}
        # Judged by the shapes of the source, before any of them changes.
        self._feature_orders = {node: self._feature_order(node) for node in graph if node.op_type == "Reshape"}
        self._variants = {value: {self._identity(value): value} for value in graph.inputs if value in self._shapes}

    def run(self) -> None:
        """Rewrite the graph."""
        for node in list(self._graph):
            if node in self._assignment.absorbed:
                self._absorb(node)
            elif node in self._assignment.agile:
                self._follow(node)
            elif node.op_type == "Reshape":
                self._reshape(node)
            elif node.op_type in REDUCTIONS and integer(node, "keepdims", 1) == 0:
                self._reduce(node)
            else:
                self._stay(node)
        self._restore_outputs()
        self._graph.remove(self._assignment.absorbed, safe=True)

    def _identity(self, value: ir.Value) -> Permutation:
        return identity(len(self._shapes[value]))

    def _feature_order(self, node: ir.Node) -> tuple[FeatureOrder | None, FeatureOrder | None]:
        """How a Reshape reads and writes in the layouts chosen; None where it keeps to the source's order."""
        source, output = node.inputs[0], node.outputs[0]
        layouts = self._assignment.layouts
        return (
            order_of_reading(node, layouts[source]) if source in layouts else None,
            order_of_writing(node, layouts[output]) if output in layouts else None,
        )

    def _variant(self, value: ir.Value, layout: Permutation, before: ir.Node | None) -> ir.Value:
        """The value, stored in this layout."""
        known = self._variants[value]
        if layout not in known:
            stored, source = next(iter(known.items()))
            permutation = compose(inverse(stored), layout)
            shape = permuted(self._shapes[value], layout)
            if keeps_element_order(shape_of(source), permutation):
                known[layout] = reshape(self._editor, source, shape, before=before, dtype=dtype_of(value))
            else:
                known[layout] = self._editor.node(
                    "Transpose",
                    [source],
                    name=f"{value.name}/transposed",
                    shape=shape,
                    dtype=dtype_of(value),
                    attributes={"perm": permutation},
                    before=before,
                )
        return known[layout]

    def _read(self, node: ir.Node, index: int, layout: Permutation | None = None) -> None:
        """Let an input of the node come in this layout; in the source's order when None."""
        value = node.inputs[index]
        if value is not None and value in self._shapes and constant(value) is None:
            node.replace_input_with(index, self._variant(value, layout or self._identity(value), node))

    def _write(self, value: ir.Value, layout: Permutation) -> None:
        """Note that the value's node now computes it in this layout."""
        value.shape = ir.Shape(permuted(self._shapes[value], layout))
        self._variants[value] = {layout: value}

    def _absorb(self, node: ir.Node) -> None:
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        layout = self._assignment.layouts[output]
        stored = self._variant(source, compose(permutation_of(node), layout), node)
        self._variants[output] = {layout: stored}

    def _follow(self, node: ir.Node) -> None:
        layout = self._assignment.layouts[node.outputs[0]]
        for index in range(len(node.inputs)):
            self._read(node, index, layout)
        if layout != identity(len(layout)):
            adapt(node, layout, self._editor)
        for value in node.outputs:
            self._write(value, layout)

    def _stay(self, node: ir.Node) -> None:
        for index in range(len(node.inputs)):
            self._read(node, index)
        for value in node.outputs:
            if value in self._shapes:
                self._write(value, self._identity(value))

    def _reduce(self, node: ir.Node) -> None:
        source = node.inputs[0]
        assert source is not None
        layout = self._assignment.layouts.get(source)
        if layout is None or not reduction_accepts(node, layout):
            self._stay(node)
            return
        self._read(node, 0, layout)
        if layout != identity(len(layout)):
            adapt_reduction(node, layout, self._editor)
        for value in node.outputs:
            if value in self._shapes:
                self._write(value, self._identity(value))

    def _reshape(self, node: ir.Node) -> None:
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        reading, writing = self._feature_orders[node]
        if reading is not None:
            reading.permute_columns(self._editor)
        if writing is not None:
            writing.permute_rows(self._editor)
        self._read(node, 0, None if reading is None else self._assignment.layouts[source])
        if output not in self._shapes:
            return
        self._write(output, self._identity(output) if writing is None else self._assignment.layouts[output])
        if shape_of(output) != self._shapes[output]:
            node.replace_input_with(1, shape_constant(self._editor, shape_of(output), name_of(output)))

    def _restore_outputs(self) -> None:
        """Give the graph's outputs the source's order and names."""
        for index, output in enumerate(self._graph.outputs):
            if output not in self._shapes:
                continue
            final = self._variant(output, self._identity(output), None)
            if final is output:
                continue
            if not may_replace(output, final):
                final = self._copy(final)
            name = name_of(output)
            self._graph.outputs[index] = final
            output.name = self._editor.value_name(f"{name}/stored")
            final.name = name

    def _copy(self, value: ir.Value) -> ir.Value:
        """The value under a name of its own: an input, or another output, cannot carry this output's name."""
        return self._editor.node(
            "Identity", [value], name=f"{value.name}/copy", shape=shape_of(value), dtype=dtype_of(value)
        )
