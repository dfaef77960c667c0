"""Per-channel affine functions y = scale * x + shift, as they stand in graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import constant, integer, real, shape_of

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """One factor and one summand per channel, in float64 so that folding rounds once."""

    scale: Vector
    shift: Vector


def affine_of(node: ir.Node) -> Affine | None:
    """What a BatchNormalization, or a Mul or Add of a constant per channel (axis 1), does; None for other nodes."""
    if node.op_type == "BatchNormalization":
        return batch_norm_affine(node)
    if node.op_type not in ("Mul", "Add") or node.inputs[0] is None:
        return None
    operand = constant(node.inputs[1])
    shape = shape_of(node.outputs[0])
    if operand is None or len(shape) < 2 or shape_of(node.inputs[0]) != shape:
        return None
    vector = _per_channel(operand, shape)
    if vector is None:
        return None
    neutral = np.zeros_like(vector) if node.op_type == "Mul" else np.ones_like(vector)
    return Affine(vector, neutral) if node.op_type == "Mul" else Affine(neutral, vector)


def batch_norm_affine(node: ir.Node) -> Affine | None:
    """What a BatchNormalization with constant statistics does outside training; None for other nodes."""
    if node.op_type != "BatchNormalization" or integer(node, "training_mode", 0):
        return None
    arrays = [constant(value) for value in node.inputs[1:5]]
    gamma, beta, mean, variance = (None if array is None else array.astype(np.float64) for array in arrays)
    if gamma is None or beta is None or mean is None or variance is None:
        return None
    scale = gamma / np.sqrt(variance + real(node, "epsilon", 1e-5))
    return Affine(scale, beta - mean * scale)


def _per_channel(operand: NDArray[np.generic], shape: tuple[int, ...]) -> Vector | None:
    """The operand as one number per channel; None where it varies along another axis."""
    aligned = (1,) * (len(shape) - operand.ndim) + operand.shape
    if any(size != 1 for axis, size in enumerate(aligned) if axis != 1):
        return None
    return np.broadcast_to(operand.astype(np.float64).reshape(-1), (shape[1],)).copy()
