"""GroupNormalization as InstanceNormalization of the groups, which onnxruntime has a kernel for, in every opset."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, integer, real, shape_of
from edgefleet_compiler.passes.reshapes import shape_constant


def write_out_groups(graph: ir.Graph) -> None:
    """Write out each GroupNormalization: onnxruntime itself would as a dozen nodes, and before opset 21 not at all."""
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type == "GroupNormalization":
            _write_out(node, editor)


def _write_out(node: ir.Node, editor: Editor) -> None:
    source = node.inputs[0]
    assert source is not None
    images = shape_of(source)
    groups = integer(node, "num_groups", 1)
    grouped = (images[0], groups, prod(images[1:]) // groups)
    neutral = [
        editor.constant(np.full(groups, number, np.float32), f"{node.name}/{name}")
        for name, number in (("ones", 1), ("zeros", 0))
    ]
    value = _emit(editor, node, "Reshape", [source, shape_constant(editor, grouped, f"{node.name}/grouped")], grouped)
    epsilon = {"epsilon": real(node, "epsilon", 1e-5)}
    value = _emit(editor, node, "InstanceNormalization", [value, *neutral], grouped, epsilon)
    value = _emit(editor, node, "Reshape", [value, shape_constant(editor, images, f"{node.name}/images")], images)
    scale, bias = (_per_channel(editor, node, index, len(images)) for index in (1, 2))
    editor.rewrite(node, "Add", [_emit(editor, node, "Mul", [value, scale], images), bias])


def _emit(
    editor: Editor,
    node: ir.Node,
    op_type: str,
    inputs: list[ir.Value],
    shape: tuple[int, ...],
    attributes: dict[str, float] | None = None,
) -> ir.Value:
    name = f"{node.name}/{op_type.lower()}"
    return editor.node(op_type, inputs, name=name, shape=shape, attributes=attributes, before=node)


def _per_channel(editor: Editor, node: ir.Node, index: int, rank: int) -> ir.Value:
    """A parameter, shaped so that it varies along the channels."""
    numbers = constant(node.inputs[index])
    assert numbers is not None
    return editor.constant(numbers.reshape(-1, *[1] * (rank - 2)), f"{node.name}/{('scale', 'bias')[index - 1]}")
