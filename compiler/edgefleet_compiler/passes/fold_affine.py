"""BatchNormalization, and Mul or Add of a constant per channel, fold into the Conv or Gemm before them.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", equation 14: w_fold = gamma * w / sqrt(var + epsilon), and the bias likewise. Computed in float64.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import Constant, constant, integer, is_float, sole_consumer
from edgefleet_compiler.passes.affine import Affine, Vector, affine_of
from edgefleet_compiler.passes.gemms import is_normal_gemm
from edgefleet_compiler.passes.record import Effects


def fold_affine(model: ir.Model) -> Effects:
    """Fold affine functions into producers that nobody else uses."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        affine, source = affine_of(node), node.inputs[0] if node.inputs else None
        producer = source.producer() if source is not None else None
        if affine is None or source is None or producer is None or sole_consumer(source) is not node:
            continue
        if not is_float(source) or not _fold(producer, affine, editor):
            continue
        editor.replace(node.outputs[0], producer.outputs[0])
        graph.remove(node, safe=True)
        effects[f"folded {{}} {node.op_type} into {producer.op_type}"] += 1
    return effects


def _fold(producer: ir.Node, affine: Affine, editor: Editor) -> bool:
    """Give the producer new weights and bias; False where it has no constant ones."""
    if producer.op_type not in ("Conv", "ConvTranspose", "Gemm"):
        return False
    bias_input = producer.inputs[2] if len(producer.inputs) > 2 else None
    weights = constant(producer.inputs[1])
    bias = constant(bias_input)
    if weights is None or (bias_input is not None and bias is None):
        return False
    if producer.op_type == "Gemm" and not is_normal_gemm(producer):
        return False
    scaled = weights.astype(np.float64) * _along_weights(producer, weights, affine.scale)
    shifted = affine.shift + (0 if bias is None else bias.astype(np.float64) * affine.scale)
    producer.resize_inputs(3)
    producer.replace_input_with(1, editor.constant(scaled.astype(np.float32), f"{producer.name}/weights"))
    producer.replace_input_with(2, editor.constant(shifted.astype(np.float32), f"{producer.name}/bias"))
    return True


def _along_weights(producer: ir.Node, weights: Constant, scale: Vector) -> Vector:
    """The factors of the output channels, shaped to multiply the weights."""
    if producer.op_type != "ConvTranspose":
        return scale.reshape(-1, *(1,) * (weights.ndim - 1))
    # Weights are [in, out / group, …]: the input channels of a group meet that group's output channels only.
    group = integer(producer, "group", 1)
    per_input = np.repeat(scale.reshape(group, -1), weights.shape[0] // group, axis=0)
    return per_input.reshape(*weights.shape[:2], *(1,) * (weights.ndim - 2))
