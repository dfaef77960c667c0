"""Older opsets: the same operators in the forms that they had before.

Source: ONNX operator changelog. Most of what a hub in normal form uses has been there since opset 13. Before 18 the
reductions but ``ReduceSum`` took their axes as an attribute, and ``Split`` was not told into how many parts; before 19
``AveragePool`` had no dilations; and some operators came later, such as ``Gelu`` with 20. ``GroupNormalization`` had a
scale per group until 21, with which 4-bit integers came.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import defs

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import OPSET, dtype_of, input_integers, integer, shape_of, text
from edgefleet_compiler.hub.operators import REDUCTIONS
from edgefleet_compiler.hub.pairs import PAIR
from edgefleet_compiler.refusal import Refusal, unsupported
from edgefleet_contract.errors import RecipeUnfit

OLDEST = 13
"""Before it, QuantizeLinear had one scale per tensor."""


def lower_opset(graph: ir.Graph, max_opset: int) -> int:
    """Rewrite nodes so that they are valid in an opset.

    Args:
        graph: Of opset 21; it is changed in place.
        max_opset: The newest opset wanted.

    Returns:
        The opset that the graph has now.

    Raises:
        RecipeUnfit: ``max_opset`` is older than any that can be written.
        OperatorUnsupported: Nodes that the opset does not have; all of them are named.
    """
    opset = min(max_opset, OPSET)
    if opset < OLDEST:
        raise RecipeUnfit(
            f"The target takes ONNX up to opset {max_opset}",
            expected=f"opset {OLDEST} or newer",
            remedy="Compile for TFLite (--format tflite), or use a newer onnxruntime on the target.",
            max_opset=max_opset,
        )
    newer = [node for node in graph if not _has(opset, node)]
    if newer:
        raise unsupported(
            [Refusal(node.name or "", node.op_type, "its form is newer") for node in newer],
            f"The target takes ONNX up to opset {max_opset}",
            expected=f"operators and attributes of opset {opset}",
            remedy="Compile for TFLite (--format tflite), or use a newer onnxruntime on the target.",
        )
    if opset < 18:
        editor = Editor(graph)
        for node in graph:
            if node.op_type in REDUCTIONS - {"ReduceSum"}:
                _axes_to_attribute(node)
            elif node.op_type == "Split":
                _write_out_sizes(node, editor)
    graph.opset_imports[""] = opset
    return opset


def _has(opset: int, node: ir.Node) -> bool:
    """Whether an opset has the operator, with all that the node says of it and on such elements."""
    if not defs.has(node.op_type, max_inclusive_version=opset):
        return False
    if node.op_type == "Resize" and text(node, _COORDINATES, "half_pixel") == "half_pixel_symmetric":
        return opset >= 19
    if node.op_type in PAIR and any(dtype_of(value).bitwidth == 16 for value in _stored(node)):
        return opset >= 21
    if any(value is not None and value.dtype in _FOUR_BITS for value in node.inputs):
        return opset >= 21
    schema = defs.get_schema(node.op_type, max_inclusive_version=opset)
    unknown = set(node.attributes) - set(schema.attributes) - _REWRITTEN
    return not schema.deprecated and not unknown


def _stored(node: ir.Node) -> list[ir.Value]:
    """What a node of a pair takes or gives in integers."""
    values = node.outputs if node.op_type == "QuantizeLinear" else node.inputs[:1]
    return [value for value in values if value is not None]


_FOUR_BITS = (ir.DataType.INT4, ir.DataType.UINT4)
_COORDINATES = "coordinate_transformation_mode"

_REWRITTEN = {"noop_with_empty_axes", "num_outputs"}
"""Attributes that are said otherwise in an opset that lacks them."""


def _write_out_sizes(node: ir.Node, editor: Editor) -> None:
    """Tell a Split how large its parts are instead of how many they are."""
    if node.attributes.pop("num_outputs", None) is None:
        return
    axis = integer(node, "axis", 0)
    sizes = np.array([shape_of(value)[axis] for value in node.outputs], np.int64)
    node.resize_inputs(2)
    node.replace_input_with(1, editor.constant(sizes, f"{node.name}/sizes"))


def _axes_to_attribute(node: ir.Node) -> None:
    axes = input_integers(node, 1)
    if not integer(node, "noop_with_empty_axes", 0):
        node.attributes.pop("noop_with_empty_axes", None)
    if axes is not None:
        node.attributes.add(ir.AttrInt64s("axes", axes))
    node.resize_inputs(1)
