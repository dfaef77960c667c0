"""Older opsets: the same operators in the forms that they had before.

Source: ONNX operator changelog. What a hub in normal form uses has been there since opset 13, but for two things:
``ReduceMean`` took its axes as an attribute before 18, and ``AveragePool`` had no dilations before 19.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import OPSET, input_integers, integer
from edgefleet_contract.errors import OperatorUnsupported, RecipeUnfit

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
    dilated = [node for node in graph if node.op_type == "AveragePool" and "dilations" in node.attributes]
    if opset < 19 and dilated:
        raise OperatorUnsupported(
            f"AveragePool with dilations needs opset 19, and the target takes {max_opset}: "
            f"{', '.join(repr(node.name) for node in dilated)}",
            operators=[{"node": node.name or "", "operator": node.op_type} for node in dilated],
        )
    if opset < 18:
        for node in graph:
            if node.op_type == "ReduceMean":
                _axes_to_attribute(node)
    graph.opset_imports[""] = opset
    return opset


def _axes_to_attribute(node: ir.Node) -> None:
    axes = input_integers(node, 1)
    if not integer(node, "noop_with_empty_axes", 0):
        node.attributes.pop("noop_with_empty_axes", None)
    if axes is not None:
        node.attributes.add(ir.AttrInt64s("axes", axes))
    node.resize_inputs(1)
