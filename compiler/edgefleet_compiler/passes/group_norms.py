"""InstanceNormalization between two Reshapes is GroupNormalization, as exporters wrote it before there was one.

Source: Wu and He 2018, "Group Normalization", section 3.1: the channels of a group are normalised together. As one
operator it says so in any layout, where the Reshapes would tie it to channels first.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, is_float, real, shape_of, sole_consumer
from edgefleet_compiler.passes.record import Effects


def recognise_group_norms(model: ir.Model) -> Effects:
    """Put GroupNormalization in the place of Reshape to groups, InstanceNormalization, Reshape back."""
    effects = Effects()
    editor = Editor(model.graph)
    for node in list(model.graph):
        if node.op_type != "InstanceNormalization" or node.inputs[0] is None:
            continue
        before, after = node.inputs[0].producer(), sole_consumer(node.outputs[0])
        source = before.inputs[0] if before is not None and before.op_type == "Reshape" else None
        if source is None or after is None or after.op_type != "Reshape" or not _is_grouped(source, node, after):
            continue
        channels, groups = shape_of(source)[1], shape_of(node.inputs[0])[1]
        operands: list[ir.Value | None] = [source]
        for index, name in ((1, "scale"), (2, "bias")):
            numbers = constant(node.inputs[index])
            assert numbers is not None
            operands.append(editor.constant(np.repeat(numbers, channels // groups), f"{node.name}/{name}"))
        attributes = {"num_groups": groups, "epsilon": real(node, "epsilon", 1e-5)}
        editor.rewrite(after, "GroupNormalization", operands, attributes)
        effects["recognised {} GroupNormalization"] += 1
    return effects


def _is_grouped(source: ir.Value, node: ir.Node, after: ir.Node) -> bool:
    """Whether the first Reshape parts the channels into groups and the second undoes that."""
    assert node.inputs[0] is not None
    images, grouped = shape_of(source), shape_of(node.inputs[0])
    parameters = [constant(value) for value in node.inputs[1:3]]
    return (
        is_float(source)
        and len(images) >= 3
        and len(grouped) >= 3
        and images[0] == grouped[0]
        and images[1] % grouped[1] == 0
        and shape_of(after.outputs[0]) == images
        and all(array is not None for array in parameters)
    )
