"""Operands that broadcast get the rank of the result.

Source: ONNX multidirectional broadcasting: the shorter shape is extended by ones on the left. Written out as a Reshape,
all activations of an elementwise operator have one rank, so that the layout pass can permute them together.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, dtype_of, rank_of, shape_of
from edgefleet_compiler.hub.operators import BROADCASTING
from edgefleet_compiler.passes.record import Effects
from edgefleet_compiler.passes.reshapes import reshape


def align_ranks(model: ir.Model) -> Effects:
    """Reshape activations of lower rank in front of elementwise operators."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type not in BROADCASTING:
            continue
        rank = rank_of(node.outputs[0])
        for index, operand in enumerate(node.inputs):
            if operand is None or constant(operand) is not None or rank_of(operand) == rank:
                continue
            shape = (1,) * (rank - rank_of(operand)) + shape_of(operand)
            extended = reshape(editor, operand, shape, before=node, dtype=dtype_of(operand))
            node.replace_input_with(index, extended)
            effects["extended {} operands to the rank of the result"] += 1
    return effects
