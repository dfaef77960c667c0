"""Whether a graph that came quantised fits together: scales where integers stand for reals, types that kernels take.

What nobody checks here shows on a device, as an allocation that fails or as numbers that mean nothing. Source:
TensorFlow Lite 8-bit quantization specification, and the 16x8 scheme beside it.
"""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_contract.errors import ModelMalformed

NARROW: Final = frozenset(map(np.dtype, (np.int8, np.uint8, np.int16)))
"""Element types that stand for reals wherever an operator computes on them."""

WEIGHTED: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
"""Operators of an activation, weights and, perhaps, biases."""

# Operators that take integers for what they are, whatever they are for.
_UNSCALED: Final = frozenset({
    "ARG_MAX", "ARG_MIN", "BITCAST", "BITWISE_XOR", "BROADCAST_TO", "CAST", "CONCATENATION", "EQUAL", "EXPAND_DIMS",
    "FILL", "GATHER", "GATHER_ND", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL", "PACK", "RESHAPE",
    "REVERSE_V2", "SCATTER_ND", "SELECT", "SELECT_V2", "SHAPE", "SLICE", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPLIT",
    "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TOPK_V2", "TRANSPOSE", "UNIQUE", "UNPACK", "WHERE", "ZEROS_LIKE",
})  # fmt: skip
# Operators whose first input and first output have one element type.
_UNIFORM: Final = frozenset({
    "ABS", "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "EXPAND_DIMS",
    "FULLY_CONNECTED", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL",
    "PAD", "PADV2", "PRELU", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "SLICE",
    "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE",
})  # fmt: skip
_JOINING: Final = frozenset({"ADD", "CONCATENATION", "DIV", "MAXIMUM", "MINIMUM", "MUL", "SUB"})
# How many inputs an operator needs, where that is more than one.
_LEAST_INPUTS: Final = {
    "ADD": 2, "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "DIV": 2, "FULLY_CONNECTED": 2, "MAXIMUM": 2, "MEAN": 2,
    "MINIMUM": 2, "MUL": 2, "PAD": 2, "PADV2": 3, "SLICE": 3, "SUB": 2, "SVDF": 5, "TRANSPOSE": 2, "TRANSPOSE_CONV": 3,
}  # fmt: skip
# What weights and biases of quantised activations may be.
_OPERANDS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "int8": (frozenset({"int8", "int4"}), frozenset({"int32"})),
    "uint8": (frozenset({"uint8"}), frozenset({"int32"})),
    "int16": (frozenset({"int8"}), frozenset({"int32", "int64"})),
}


def is_quantised(graph: LoweredGraph) -> bool:
    """Whether the graph has activations in integers that stand for reals, or would if they had scales.

    Integer constants alone do not count: they feed float operators, which make reals of them.
    """
    return any(
        tensor.quantisation is not None or (tensor.dtype in NARROW and operator.kind not in _UNSCALED)
        for operator in graph.operators
        for tensor in _tensors(operator, graph)
        if not tensor.is_constant
    )


def check_quantised(graph: LoweredGraph) -> None:
    """Refuse a quantised graph that contradicts itself.

    Raises:
        ModelMalformed: Inputs or scales are missing, element types do not go together, or an output is nobody's result.
    """
    _check_inputs(graph)
    check_outputs(graph)
    unscaled = {tensor.name: tensor for operator in graph.operators for tensor in _without_scale(operator, graph)}
    if unscaled:
        told = ", ".join(f"{tensor.name!r} ({tensor.dtype})" for tensor in unscaled.values())
        raise ModelMalformed(
            f"{len(unscaled)} tensors of the quantised TFLite model have no scale: {told}",
            expected="a scale and a zero point with every tensor of integers that stand for reals",
            remedy="Convert the model again; some tool dropped its quantisation parameters.",
            tensors=list(unscaled),
        )
    mixed = [told for operator in graph.operators if (told := _mixture(operator, graph))]
    if mixed:
        raise ModelMalformed(
            f"Element types of the quantised TFLite model do not go together: {'; '.join(mixed)}",
            expected="int8 activations with int8 weights and int32 biases, int16 ones with int8 and int64",
            remedy="Convert the model again.",
        )


def _check_inputs(graph: LoweredGraph) -> None:
    for operator in graph.operators:
        needed = _LEAST_INPUTS.get(operator.kind, 1)
        if len(operator.inputs) < needed or operator.inputs[0] is None or operator.inputs[min(needed, 2) - 1] is None:
            raise ModelMalformed(
                f"{operator.kind} {operator.outputs[0]!r} has the inputs {operator.inputs}",
                expected=f"at least {needed}",
            )


def check_outputs(graph: LoweredGraph) -> None:
    """Refuse what no operator's file has to think of then.

    Raises:
        ModelMalformed: An empty tensor, or an output that is not computed or listed twice.
    """
    for tensor in graph.tensors.values():
        if not tensor.is_constant and not prod(tensor.shape):
            raise ModelMalformed(f"Tensor {tensor.name!r} has the shape {list(tensor.shape)}, which holds nothing")
    computed = {name for operator in graph.operators for name in operator.outputs}
    for name in graph.outputs:
        if name not in computed:
            raise ModelMalformed(f"Output {name!r} is no operator's result", expected="outputs that are computed")
        if graph.outputs.count(name) > 1:
            raise ModelMalformed(f"Output {name!r} is listed twice", expected="each output once")


def _without_scale(operator: Operator, graph: LoweredGraph) -> list[Tensor]:
    if operator.kind in _UNSCALED:
        return []
    return [tensor for tensor in _tensors(operator, graph) if tensor.dtype in NARROW and tensor.quantisation is None]


def _mixture(operator: Operator, graph: LoweredGraph) -> str:
    """What of an operator's element types no kernel takes; empty where they go together."""
    if operator.kind not in _UNIFORM or not operator.inputs or operator.inputs[0] is None:
        return ""
    joined = operator.inputs if operator.kind in _JOINING else operator.inputs[:1]
    tensors = [graph.tensors[name] for name in (*joined, operator.outputs[0]) if name is not None]
    first = tensors[0].dtype
    if any(tensor.dtype != first for tensor in tensors):
        types = ", ".join(str(tensor.dtype) for tensor in tensors)
        return f"{operator.kind} {operator.outputs[0]!r} takes and gives {types}"
    if operator.kind not in WEIGHTED or str(first) not in _OPERANDS:
        return ""
    for name, allowed in zip(operator.inputs[1:3], _OPERANDS[str(first)], strict=False):
        if name is not None and str(graph.tensors[name].dtype) not in allowed:
            return f"{operator.kind} {operator.outputs[0]!r} has {name!r} of {graph.tensors[name].dtype} with {first}"
    return ""


def _tensors(operator: Operator, graph: LoweredGraph) -> list[Tensor]:
    return [graph.tensors[name] for name in (*operator.inputs, *operator.outputs) if name is not None]
