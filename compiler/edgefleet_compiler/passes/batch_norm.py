"""A BatchNormalization that no convolution takes in becomes Mul and Add.

Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1 at inference:
y = gamma * (x - mean) / sqrt(var + epsilon) + beta, which is x * scale + shift per channel.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import rank_of, shape_of
from edgefleet_compiler.passes.affine import batch_norm_affine
from edgefleet_compiler.passes.record import Effects


def rewrite_batch_norm(model: ir.Model) -> Effects:
    """Rewrite every BatchNormalization left; ``fold_affine`` has taken those it could."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        affine = batch_norm_affine(node)
        if affine is None or node.inputs[0] is None:
            continue
        source = node.inputs[0]
        per_channel = (1, -1) + (1,) * (rank_of(source) - 2)
        scale, shift = (vector.reshape(per_channel).astype(np.float32) for vector in (affine.scale, affine.shift))
        scaled = editor.node(
            "Mul",
            [source, editor.constant(scale, f"{node.name}/scale")],
            name=f"{node.name}/scale",
            shape=shape_of(source),
            before=node,
        )
        editor.rewrite(node, "Add", [scaled, editor.constant(shift, f"{node.name}/shift")])
        effects["rewrote {} BatchNormalization as Mul and Add"] += 1
    return effects
