"""Lowered graph to hub: a TFLite model as ONNX, one family of operators per file.

Lifters see a float graph. Of a quantised one the integers stay all the same: constants come as they are stored, behind
a DequantizeLinear, and activations go through a pair with the source's parameters.

The hub's convolutions and pools are NCHW, so each layout-bound operator comes with a Transpose before and after it; the
hub passes cancel them. Fused activations become nodes of their own, SAME becomes explicit pads. Every value has dtype
and shape, and every shape that the file declares is checked against what the operator makes of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import onnx_ir as ir

from edgefleet_compiler.lift.activation import lift_activation, lift_leaky_relu
from edgefleet_compiler.lift.arithmetic import lift_arithmetic, lift_floor_div, lift_floor_mod, lift_squared_difference
from edgefleet_compiler.lift.batch_matmul import lift_batch_matmul
from edgefleet_compiler.lift.blocks import lift_blocks
from edgefleet_compiler.lift.casting import lift_cast
from edgefleet_compiler.lift.comparison import COMPARISONS, lift_comparison, lift_logical_not
from edgefleet_compiler.lift.concatenation import lift_concatenation
from edgefleet_compiler.lift.convolution import lift_conv_2d, lift_depthwise_conv_2d
from edgefleet_compiler.lift.float_graph import float_graph
from edgefleet_compiler.lift.fully_connected import lift_fully_connected
from edgefleet_compiler.lift.gathering import lift_gather, lift_gather_nd
from edgefleet_compiler.lift.hub import HubBuilder
from edgefleet_compiler.lift.lstm import lift_unidirectional_sequence_lstm
from edgefleet_compiler.lift.normalisation import lift_l2_normalization, lift_local_response_normalization
from edgefleet_compiler.lift.packing import lift_pack
from edgefleet_compiler.lift.padding import lift_mirror_pad, lift_pad
from edgefleet_compiler.lift.pooling import lift_average_pool_2d, lift_max_pool_2d
from edgefleet_compiler.lift.positions import lift_arg_extremum, lift_cumsum, lift_one_hot
from edgefleet_compiler.lift.reduction import lift_reduction
from edgefleet_compiler.lift.repetition import lift_broadcast_to, lift_tile
from edgefleet_compiler.lift.requantisation import lift_requantisation
from edgefleet_compiler.lift.reshaping import lift_reshape
from edgefleet_compiler.lift.resizing import lift_resize
from edgefleet_compiler.lift.reversal import lift_reverse
from edgefleet_compiler.lift.selection import lift_selection
from edgefleet_compiler.lift.single_outputs import DIVISIONS, with_single_outputs
from edgefleet_compiler.lift.site import Site, Unliftable
from edgefleet_compiler.lift.slicing import lift_slice, lift_strided_slice
from edgefleet_compiler.lift.softmax import lift_softmax
from edgefleet_compiler.lift.stored import stored_activations, stored_constants
from edgefleet_compiler.lift.svdf import lift_svdf
from edgefleet_compiler.lift.transposed_convolution import lift_transpose_conv
from edgefleet_compiler.lift.transposition import lift_transpose
from edgefleet_compiler.lift.unary import (
    UNARY,
    lift_gelu,
    lift_log_softmax,
    lift_prelu,
    lift_rsqrt,
    lift_square,
    lift_unary,
)
from edgefleet_compiler.lowered.coherence import check_outputs, is_quantised
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.refusal import Refusal
from edgefleet_compiler.tflite.refusal import refuse

LIFTERS: Final[dict[str, Callable[[Site], ir.Value]]] = {
    **dict.fromkeys(COMPARISONS, lift_comparison),
    **dict.fromkeys(UNARY, lift_unary),
    "ADD": lift_arithmetic,
    "ARG_MAX": lift_arg_extremum,
    "ARG_MIN": lift_arg_extremum,
    "AVERAGE_POOL_2D": lift_average_pool_2d,
    "BATCH_MATMUL": lift_batch_matmul,
    "BROADCAST_TO": lift_broadcast_to,
    "CAST": lift_cast,
    "CONCATENATION": lift_concatenation,
    "CONV_2D": lift_conv_2d,
    "CUMSUM": lift_cumsum,
    "DEPTHWISE_CONV_2D": lift_depthwise_conv_2d,
    "DEPTH_TO_SPACE": lift_blocks,
    "DEQUANTIZE": lift_requantisation,
    "DIV": lift_arithmetic,
    "EXPAND_DIMS": lift_reshape,
    "FLOOR_DIV": lift_floor_div,
    "FLOOR_MOD": lift_floor_mod,
    "FULLY_CONNECTED": lift_fully_connected,
    "GATHER": lift_gather,
    "GATHER_ND": lift_gather_nd,
    "GELU": lift_gelu,
    "LEAKY_RELU": lift_leaky_relu,
    "L2_NORMALIZATION": lift_l2_normalization,
    "LOCAL_RESPONSE_NORMALIZATION": lift_local_response_normalization,
    "LOGICAL_NOT": lift_logical_not,
    "LOGISTIC": lift_activation,
    "LOG_SOFTMAX": lift_log_softmax,
    "MAXIMUM": lift_arithmetic,
    "MAX_POOL_2D": lift_max_pool_2d,
    "MEAN": lift_reduction,
    "MINIMUM": lift_arithmetic,
    "MIRROR_PAD": lift_mirror_pad,
    "MUL": lift_arithmetic,
    "ONE_HOT": lift_one_hot,
    "PACK": lift_pack,
    "PAD": lift_pad,
    "PADV2": lift_pad,
    "POW": lift_arithmetic,
    "PRELU": lift_prelu,
    "QUANTIZE": lift_requantisation,
    "REDUCE_MAX": lift_reduction,
    "REDUCE_MIN": lift_reduction,
    "REDUCE_PROD": lift_reduction,
    "RELU": lift_activation,
    "RELU6": lift_activation,
    "RELU_0_TO_1": lift_activation,
    "RELU_N1_TO_1": lift_activation,
    "RESHAPE": lift_reshape,
    "RESIZE_BILINEAR": lift_resize,
    "RESIZE_NEAREST_NEIGHBOR": lift_resize,
    "REVERSE_V2": lift_reverse,
    "RSQRT": lift_rsqrt,
    "SELECT": lift_selection,
    "SELECT_V2": lift_selection,
    "SLICE": lift_slice,
    "SOFTMAX": lift_softmax,
    "SPACE_TO_DEPTH": lift_blocks,
    "SQUARE": lift_square,
    "SQUARED_DIFFERENCE": lift_squared_difference,
    "SQUEEZE": lift_reshape,
    "STRIDED_SLICE": lift_strided_slice,
    "SUB": lift_arithmetic,
    "SUM": lift_reduction,
    "SVDF": lift_svdf,
    "TANH": lift_activation,
    "TILE": lift_tile,
    "TRANSPOSE": lift_transpose,
    "TRANSPOSE_CONV": lift_transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lift_unidirectional_sequence_lstm,
}


def lift(graph: LoweredGraph) -> ir.Model:
    """The raw hub of a graph.

    Inputs and outputs keep names, order, shapes and axis order. Nodes are named after the tensor that their operator
    wrote. Quantised constants that feed float operators (hybrid models) become float32. Quantised inputs and outputs
    are float32 in the hub, with a pair beside them; states are inputs and outputs of their own, after the others.

    Args:
        graph: As ``read_tflite`` gives it.

    Returns:
        ONNX of opset 21 in which every value has dtype and static shape.

    Raises:
        OperatorUnsupported: Operators that have no way into the hub, all of them.
        ModelMalformed: An operator whose operands or declared output shape contradict its definition.
    """
    quantised = is_quantised(graph)
    constants, activations = (stored_constants(graph), stored_activations(graph)) if quantised else ({}, {})
    graph = with_single_outputs(float_graph(graph))
    check_outputs(graph)
    hub = HubBuilder(graph, constants, activations)
    refusals = [
        Refusal(operator.outputs[0], operator.kind, reason)
        for operator in graph.operators
        if (reason := _lift_operator(operator, graph, hub))
    ]
    refuse(refusals, expected=f"operators among {', '.join(sorted({*LIFTERS, *DIVISIONS}))}")
    return hub.model()


def _lift_operator(operator: Operator, graph: LoweredGraph, hub: HubBuilder) -> str | None:
    """Add the operator to the hub; why it cannot be, if it cannot."""
    lifter = LIFTERS.get(operator.kind)
    if lifter is None:
        return "the operator is not compiled"
    try:
        site = Site(operator, graph, hub)
        site.finish(lifter(site))
    except Unliftable as reason:
        return str(reason)
    return None
