"""Every operator of the hub that has a lowering. To add one, write its file and enter it here."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lower.activation import lower_clamp
from edgefleet_compiler.lower.arg_extremum import arg_extremum_demand, lower_arg_extremum
from edgefleet_compiler.lower.cast import lower_cast
from edgefleet_compiler.lower.concat import concat_demand, lower_concat
from edgefleet_compiler.lower.conv import lower_conv
from edgefleet_compiler.lower.conv_transpose import lower_conv_transpose
from edgefleet_compiler.lower.cumulate import cumulate_demand, lower_cumsum
from edgefleet_compiler.lower.depth_space import lower_depth_to_space, lower_space_to_depth
from edgefleet_compiler.lower.elementwise import broadcast_demand, lower_elementwise
from edgefleet_compiler.lower.gather import gather_demand, lower_gather, lower_gather_elements, lower_gather_nd
from edgefleet_compiler.lower.gemm import gemm_demand, lower_gemm
from edgefleet_compiler.lower.group_normalization import lower_group_normalization
from edgefleet_compiler.lower.gru import lower_gru
from edgefleet_compiler.lower.identity import lower_identity
from edgefleet_compiler.lower.instance_normalization import lower_instance_normalization
from edgefleet_compiler.lower.layer_normalization import lower_layer_normalization
from edgefleet_compiler.lower.layout import AS_IS, CHANNELS_LAST, EITHER, Demand
from edgefleet_compiler.lower.lp_normalization import lower_lp_normalization
from edgefleet_compiler.lower.lp_pool import lower_global_lp_pool, lower_lp_pool
from edgefleet_compiler.lower.lrn import lower_lrn
from edgefleet_compiler.lower.lstm import lower_lstm
from edgefleet_compiler.lower.matmul import lower_matmul
from edgefleet_compiler.lower.one_hot import lower_one_hot
from edgefleet_compiler.lower.pad import lower_pad, pad_demand
from edgefleet_compiler.lower.pool import lower_average_pool, lower_max_pool
from edgefleet_compiler.lower.prelu import lower_prelu
from edgefleet_compiler.lower.quantize_linear import lower_dequantize_linear, lower_quantize_linear
from edgefleet_compiler.lower.reduce import lower_reduce, reduce_demand
from edgefleet_compiler.lower.repeat import lower_expand, lower_tile, repeat_demand
from edgefleet_compiler.lower.reshape import lower_reshape, reshape_demand
from edgefleet_compiler.lower.resize import lower_resize, resize_demand
from edgefleet_compiler.lower.rnn import lower_rnn
from edgefleet_compiler.lower.rule import Rule
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.slice import lower_slice, slice_demand
from edgefleet_compiler.lower.softmax import lower_softmax, softmax_demand
from edgefleet_compiler.lower.split import lower_split, split_demand
from edgefleet_compiler.lower.top_k import lower_top_k
from edgefleet_compiler.lower.transpose import lower_transpose, transpose_demand
from edgefleet_compiler.lower.unary import lower_elu, lower_gelu, lower_leaky_relu, lower_softplus, lower_unary
from edgefleet_compiler.lower.where import lower_where


def _refuse(site: Site) -> None:
    site.refuse("no lowering to TFLite's operators")


def _as_is(_: ir.Node) -> Demand:
    return AS_IS


def _channels_last(_: ir.Node) -> Demand:
    return CHANNELS_LAST


def _either(_: ir.Node) -> Demand:
    return EITHER


RULES: dict[str, Rule] = {
    "Abs": Rule(lower_unary, _either),
    "Add": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2),
    "And": Rule(lower_elementwise, broadcast_demand),
    "ArgMax": Rule(lower_arg_extremum, arg_extremum_demand),
    "ArgMin": Rule(lower_arg_extremum, arg_extremum_demand),
    "AveragePool": Rule(lower_average_pool, _channels_last, integer=True, shares_parameters=True),
    "Cast": Rule(lower_cast, _either),
    "Ceil": Rule(lower_unary, _either),
    "Clip": Rule(lower_clamp, _either, integer=True, shares_parameters=True),
    "Concat": Rule(lower_concat, concat_demand, integer=True, operands=None, shares_parameters=True),
    "Conv": Rule(lower_conv, _channels_last, integer=True, operands=3),
    "ConvTranspose": Rule(lower_conv_transpose, _channels_last, operands=3),
    "Cos": Rule(lower_unary, _either),
    "CumSum": Rule(lower_cumsum, cumulate_demand),
    "DepthToSpace": Rule(lower_depth_to_space, _channels_last, integer=True, shares_parameters=True),
    "DequantizeLinear": Rule(lower_dequantize_linear, _either),
    "Div": Rule(lower_elementwise, broadcast_demand),
    "Elu": Rule(lower_elu, _either),
    "Equal": Rule(lower_elementwise, broadcast_demand),
    "Exp": Rule(lower_unary, _either),
    "Expand": Rule(lower_expand, repeat_demand, integer=True, shares_parameters=True),
    "Floor": Rule(lower_unary, _either),
    "GRU": Rule(lower_gru, _as_is),
    "Gather": Rule(lower_gather, gather_demand, integer=True, shares_parameters=True),
    "GatherElements": Rule(lower_gather_elements, gather_demand),
    "GatherND": Rule(lower_gather_nd, gather_demand),
    "Gelu": Rule(lower_gelu, _either, integer=True),
    "Gemm": Rule(lower_gemm, gemm_demand, integer=True, operands=3),
    "GlobalAveragePool": Rule(lower_reduce, reduce_demand, integer=True),
    "GlobalLpPool": Rule(lower_global_lp_pool, _channels_last),
    "GlobalMaxPool": Rule(lower_reduce, reduce_demand, integer=True, shares_parameters=True),
    "Greater": Rule(lower_elementwise, broadcast_demand),
    "GreaterOrEqual": Rule(lower_elementwise, broadcast_demand),
    "GroupNormalization": Rule(lower_group_normalization, _channels_last),
    "HardSwish": Rule(lower_unary, _either, integer=True),
    "Identity": Rule(lower_identity, _either, integer=True, shares_parameters=True),
    "InstanceNormalization": Rule(lower_instance_normalization, _channels_last),
    "LRN": Rule(lower_lrn, _channels_last),
    "LSTM": Rule(lower_lstm, _as_is),
    "LayerNormalization": Rule(lower_layer_normalization, _as_is),
    "LeakyRelu": Rule(lower_leaky_relu, _either, integer=True),
    "Less": Rule(lower_elementwise, broadcast_demand),
    "LessOrEqual": Rule(lower_elementwise, broadcast_demand),
    "Log": Rule(lower_unary, _either),
    "LogSoftmax": Rule(lower_softmax, softmax_demand),
    "LpNormalization": Rule(lower_lp_normalization, _as_is),
    "LpPool": Rule(lower_lp_pool, _channels_last),
    "MatMul": Rule(lower_matmul, _as_is, integer=True, operands=2),
    "Max": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2, shares_parameters=True),
    "MaxPool": Rule(lower_max_pool, _channels_last, integer=True, shares_parameters=True),
    "Min": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2, shares_parameters=True),
    "Mod": Rule(lower_elementwise, broadcast_demand),
    "Mul": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2),
    "Neg": Rule(lower_unary, _either),
    "Not": Rule(lower_unary, _either),
    "OneHot": Rule(lower_one_hot, _as_is),
    "Or": Rule(lower_elementwise, broadcast_demand),
    "PRelu": Rule(lower_prelu, broadcast_demand),
    "Pad": Rule(lower_pad, pad_demand, integer=True, shares_parameters=True),
    "Pow": Rule(lower_elementwise, broadcast_demand),
    "QuantizeLinear": Rule(lower_quantize_linear, _either),
    "RNN": Rule(lower_rnn, _as_is),
    "ReduceMax": Rule(lower_reduce, reduce_demand, integer=True, shares_parameters=True),
    "ReduceMean": Rule(lower_reduce, reduce_demand, integer=True),
    "ReduceMin": Rule(lower_reduce, reduce_demand, integer=True, shares_parameters=True),
    "ReduceProd": Rule(lower_reduce, reduce_demand),
    "ReduceSum": Rule(lower_reduce, reduce_demand, integer=True),
    "Relu": Rule(lower_clamp, _either, integer=True, shares_parameters=True),
    "Reshape": Rule(lower_reshape, reshape_demand, integer=True, shares_parameters=True),
    "Resize": Rule(lower_resize, resize_demand, integer=True, shares_parameters=True),
    "Round": Rule(lower_unary, _either),
    "Sigmoid": Rule(lower_unary, _either, integer=True, fixed_parameters=(1 / 256, -128)),
    "Sign": Rule(lower_unary, _either),
    "Sin": Rule(lower_unary, _either),
    "Slice": Rule(lower_slice, slice_demand, integer=True, shares_parameters=True),
    "Softmax": Rule(lower_softmax, softmax_demand, integer=True, fixed_parameters=(1 / 256, -128)),
    "Softplus": Rule(lower_softplus, _either),
    "SpaceToDepth": Rule(lower_space_to_depth, _channels_last, integer=True, shares_parameters=True),
    "Split": Rule(lower_split, split_demand, integer=True, shares_parameters=True),
    "Sqrt": Rule(lower_unary, _either),
    "Sub": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2),
    "Tanh": Rule(lower_unary, _either, integer=True, fixed_parameters=(1 / 128, 0)),
    "Tile": Rule(lower_tile, repeat_demand, integer=True, shares_parameters=True),
    "TopK": Rule(lower_top_k, _as_is),
    "Transpose": Rule(lower_transpose, transpose_demand, integer=True, shares_parameters=True),
    "Where": Rule(lower_where, broadcast_demand),
    "Xor": Rule(lower_elementwise, broadcast_demand),
}

UNKNOWN = Rule(_refuse, _as_is)


def rule_for(node: ir.Node) -> Rule:
    """The rule for a node; one that refuses where there is none."""
    return UNKNOWN if node.domain else RULES.get(node.op_type, UNKNOWN)
