"""A Reshape between a 4-D tensor and a Gemm takes any layout: the Gemm's weights are permuted instead.

Flattening a transposed tensor gives the same numbers in another order, and a fully connected layer does not care about
order as long as its weights follow (columns for what it reads, rows and bias for what it writes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.dequantised import moved, stored
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import Constant, shape_of, sole_consumer
from edgefleet_compiler.hub.operators import UNARY
from edgefleet_compiler.hub.pairs import PAIR
from edgefleet_compiler.passes.gemms import is_normal_gemm
from edgefleet_compiler.passes.layout.permutation import Permutation, keeps_element_order

_ELEMENTWISE = UNARY.union(PAIR)


@dataclass(frozen=True)
class FeatureOrder:
    """What a Reshape in another layout asks of Gemms.

    Attributes:
        gemms: Those whose weights have to be permuted; none where the elements stay in order.
        order: For each feature, as it will lie, where it lay.
    """

    gemms: list[ir.Node]
    order: NDArray[np.int64]

    def permute_columns(self, editor: Editor) -> None:
        """Let the Gemms read their features in the new order."""
        for gemm in self.gemms:
            weights = gemm.inputs[1]
            assert weights is not None
            ordered = moved(editor, weights, lambda array: array[:, self.order], f"{gemm.name}/weights")
            gemm.replace_input_with(1, ordered)

    def permute_rows(self, editor: Editor) -> None:
        """Let the Gemms write their features in the new order."""
        for gemm in self.gemms:
            for index, name in ((1, "weights"), (2, "bias")):
                operand = gemm.inputs[index] if index < len(gemm.inputs) else None
                if operand is not None:
                    ordered = moved(
                        editor, operand, self._ordered, f"{gemm.name}/{name}", move_parameters=self._ordered
                    )
                    gemm.replace_input_with(index, ordered)

    def _ordered(self, array: Constant) -> Constant:
        """The elements along the first axis in the new order."""
        return np.asarray(array[self.order])


def order_of_reading(reshape: ir.Node, layout: Permutation) -> FeatureOrder | None:
    """What it takes that the Reshape reads its input in this layout; None if nothing can make up for it."""
    source, output = reshape.inputs[0], reshape.outputs[0]
    assert source is not None
    return _order(shape_of(source), layout, _gemms_reading(output), rows=shape_of(output)[0])


def order_of_writing(reshape: ir.Node, layout: Permutation) -> FeatureOrder | None:
    """What it takes that the Reshape writes its output in this layout; None if nothing can make up for it."""
    source, output = reshape.inputs[0], reshape.outputs[0]
    assert source is not None
    return _order(shape_of(output), layout, _gemms_writing(source), rows=(shape_of(source) or (1,))[0])


def _order(shape: tuple[int, ...], layout: Permutation, gemms: list[ir.Node], rows: int) -> FeatureOrder | None:
    if keeps_element_order(shape, layout):
        return FeatureOrder([], np.arange(0))
    if not gemms or shape[0] != rows:
        return None
    features = math.prod(shape[1:])
    order = np.arange(rows * features).reshape(shape).transpose(layout).reshape(rows, features)
    # A layout that mixes the rows is no reordering of features.
    each_row_alike = bool(np.array_equal(order, order[0] + features * np.arange(rows)[:, None]))
    return FeatureOrder(gemms, order[0]) if each_row_alike else None


def _gemms_reading(value: ir.Value) -> list[ir.Node]:
    """The Gemms that all uses of a flattened value lead to, through elementwise operators; empty if one does not."""
    if value.is_graph_output() or len(shape_of(value)) != 2:
        return []
    found: list[ir.Node] = []
    for node, index in value.uses():
        if index == 0 and _is_permutable(node):
            found.append(node)
        elif index == 0 and node.op_type in _ELEMENTWISE and (behind := _gemms_reading(node.outputs[0])):
            found.extend(behind)
        else:
            return []
    return found


def _gemms_writing(value: ir.Value) -> list[ir.Node]:
    """The one Gemm whose result, used for nothing else, becomes the value through elementwise operators, if any."""
    if len(shape_of(value)) != 2 or sole_consumer(value) is None:
        return []
    node = value.producer()
    if node is None or node.inputs[0] is None:
        return []
    if _is_permutable(node):
        return [node]
    return _gemms_writing(node.inputs[0]) if node.op_type in _ELEMENTWISE else []


def _is_permutable(node: ir.Node) -> bool:
    return node.op_type == "Gemm" and stored(node.inputs[1]) is not None and is_normal_gemm(node)
