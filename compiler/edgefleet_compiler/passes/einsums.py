"""Einsum becomes MatMul between Transposes and Reshapes.

Source: ONNX operator specification, ``Einsum``, after ``numpy.einsum``. Of two operands' indices, those that both have
and the result has are batch, those that both have and the result has not are contracted, and the others are rows and
columns. Runtimes have an Einsum for floats at best; products of matrices they all have, in integers, too.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import is_float, rank_of, shape_of, text
from edgefleet_compiler.passes.record import Effects
from edgefleet_compiler.passes.reshapes import shape_constant


@dataclass(frozen=True)
class _Term:
    """An operand with the letter of each of its axes."""

    value: ir.Value
    indices: str

    @property
    def sizes(self) -> dict[str, int]:
        """The extent of each index."""
        return dict(zip(self.indices, shape_of(self.value), strict=True))


def rewrite_einsums(model: ir.Model) -> Effects:
    """Rewrite every Einsum of floats but those that take a diagonal: an index twice in one operand."""
    effects = Effects()
    editor = Editor(model.graph)
    for node in list(model.graph):
        if node.op_type != "Einsum" or not is_float(node.outputs[0]):
            continue
        terms, result = _parsed(node)
        if any(len(set(term.indices)) < len(term.indices) for term in terms):
            continue
        _Rewriter(node, editor).rewrite(terms, result)
        effects["rewrote {} Einsum as MatMul"] += 1
    return effects


def _parsed(node: ir.Node) -> tuple[list[_Term], str]:
    """The operands and the indices of the result; axes behind an ellipsis get letters that the equation leaves free."""
    equation = text(node, "equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    values = [value for value in node.inputs if value is not None]
    free = [letter for letter in string.ascii_letters if letter not in equation]
    terms, hidden = [], ""
    for value, part in zip(values, left.split(","), strict=True):
        covered = "".join(free[: rank_of(value) - len(part.replace("...", ""))][::-1]) if "..." in part else ""
        hidden = max(hidden, covered, key=len)
        terms.append(_Term(value, part.replace("...", covered)))
    if arrow:
        return terms, right.replace("...", hidden)
    named = [letter for letter in left if letter.isalpha()]
    return terms, hidden + "".join(sorted(letter for letter in set(named) if named.count(letter) == 1))


class _Rewriter:
    """Writes the nodes that stand for one Einsum."""

    def __init__(self, node: ir.Node, editor: Editor) -> None:
        self._node = node
        self._editor = editor

    def rewrite(self, terms: Sequence[_Term], result: str) -> None:
        """Multiply the operands one after the other, and bring the axes into the order of the result."""
        product, *others = terms
        for index, other in enumerate(others):
            later = set(result).union(*(term.indices for term in others[index + 1 :]))
            product = self._multiplied(product, other, later)
        product = self._summed(product, set(result))
        axes = [product.indices.index(letter) for letter in result]
        self._editor.rewrite(
            self._node, "Transpose", [product.value], {"perm": axes}, shape=shape_of(self._node.outputs[0])
        )

    def _multiplied(self, left: _Term, right: _Term, wanted: set[str]) -> _Term:
        """The product of two operands, with the indices that are wanted later."""
        left = self._summed(left, wanted | set(right.indices))
        right = self._summed(right, wanted | set(left.indices))
        both = [letter for letter in left.indices if letter in right.indices]
        batch = "".join(letter for letter in both if letter in wanted)
        contracted = "".join(letter for letter in both if letter not in wanted)
        rows = "".join(letter for letter in left.indices if letter not in both)
        columns = "".join(letter for letter in right.indices if letter not in both)
        one = self._matrices(left, batch, rows, contracted)
        other = self._matrices(right, batch, contracted, columns)
        shape = (*np.broadcast_shapes(shape_of(one)[:-2], shape_of(other)[:-2]), shape_of(one)[-2], shape_of(other)[-1])
        product = self._emit("MatMul", [one, other], shape)
        outer = [left.sizes[letter] for letter in rows], [right.sizes[letter] for letter in columns]
        return _Term(self._reshaped(product, (*shape[:-2], *outer[0], *outer[1])), batch + rows + columns)

    def _matrices(self, term: _Term, batch: str, rows: str, columns: str) -> ir.Value:
        """An operand as matrices: an axis for each batch index, one for all rows, one for all columns."""
        order = [term.indices.index(letter) for letter in batch + rows + columns]
        shape = [shape_of(term.value)[axis] for axis in order]
        turned = term.value
        if order != sorted(order):
            turned = self._emit("Transpose", [term.value], shape, {"perm": order})
        sizes = term.sizes
        matrix = [prod(sizes[letter] for letter in part) for part in (rows, columns)]
        return self._reshaped(turned, [*(sizes[letter] for letter in batch), *matrix])

    def _summed(self, term: _Term, wanted: set[str]) -> _Term:
        """A term without the indices that nobody asks for."""
        axes = [axis for axis, letter in enumerate(term.indices) if letter not in wanted]
        if not axes:
            return term
        kept = "".join(letter for letter in term.indices if letter in wanted)
        operands = [term.value, self._editor.constant(np.array(axes, np.int64), f"{self._node.name}/axes")]
        shape = [term.sizes[letter] for letter in kept]
        return _Term(self._emit("ReduceSum", operands, shape, {"keepdims": 0}), kept)

    def _reshaped(self, value: ir.Value, shape: Sequence[int]) -> ir.Value:
        if shape_of(value) == tuple(shape):
            return value
        return self._emit("Reshape", [value, shape_constant(self._editor, shape, f"{self._node.name}/reshaped")], shape)

    def _emit(
        self,
        op_type: str,
        inputs: list[ir.Value],
        shape: Sequence[int],
        attributes: dict[str, int | list[int]] | None = None,
    ) -> ir.Value:
        name = f"{self._node.name}/{op_type.lower()}"
        return self._editor.node(op_type, inputs, name=name, shape=shape, attributes=attributes, before=self._node)
