"""Every operator of the hub that has a lowering. To add one, write its file and enter it here."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lower.activation import lower_clamp, lower_leaky_relu, lower_sigmoid, lower_tanh
from edgefleet_compiler.lower.concat import concat_demand, lower_concat
from edgefleet_compiler.lower.conv import lower_conv
from edgefleet_compiler.lower.conv_transpose import lower_conv_transpose
from edgefleet_compiler.lower.elementwise import broadcast_demand, lower_elementwise
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
from edgefleet_compiler.lower.pad import lower_pad, pad_demand
from edgefleet_compiler.lower.pool import lower_average_pool, lower_max_pool
from edgefleet_compiler.lower.quantize_linear import lower_dequantize_linear, lower_quantize_linear
from edgefleet_compiler.lower.reduce import lower_reduce, reduce_demand
from edgefleet_compiler.lower.reshape import lower_reshape, reshape_demand
from edgefleet_compiler.lower.resize import lower_resize, resize_demand
from edgefleet_compiler.lower.rnn import lower_rnn
from edgefleet_compiler.lower.site import Rule, Site
from edgefleet_compiler.lower.slice import lower_slice, slice_demand
from edgefleet_compiler.lower.softmax import lower_softmax, softmax_demand
from edgefleet_compiler.lower.transpose import lower_transpose, transpose_demand


def _refuse(site: Site) -> None:
    site.refuse("no lowering to TFLite's operators")


def _as_is(_: ir.Node) -> Demand:
    return AS_IS


def _channels_last(_: ir.Node) -> Demand:
    return CHANNELS_LAST


def _either(_: ir.Node) -> Demand:
    return EITHER


RULES: dict[str, Rule] = {
    "Add": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2),
    "AveragePool": Rule(lower_average_pool, _channels_last, integer=True, shares_parameters=True),
    "Clip": Rule(lower_clamp, _either, integer=True, shares_parameters=True),
    "Concat": Rule(lower_concat, concat_demand, integer=True, operands=None, shares_parameters=True),
    "Conv": Rule(lower_conv, _channels_last, integer=True, operands=3),
    "ConvTranspose": Rule(lower_conv_transpose, _channels_last, operands=3),
    "DequantizeLinear": Rule(lower_dequantize_linear, _either),
    "Div": Rule(lower_elementwise, broadcast_demand),
    "GRU": Rule(lower_gru, _as_is),
    "Gemm": Rule(lower_gemm, gemm_demand, integer=True, operands=3),
    "GlobalAveragePool": Rule(lower_reduce, reduce_demand, integer=True),
    "GlobalLpPool": Rule(lower_global_lp_pool, _channels_last),
    "GlobalMaxPool": Rule(lower_reduce, reduce_demand, integer=True, shares_parameters=True),
    "GroupNormalization": Rule(lower_group_normalization, _channels_last),
    "Identity": Rule(lower_identity, _either, integer=True, shares_parameters=True),
    "InstanceNormalization": Rule(lower_instance_normalization, _channels_last),
    "LRN": Rule(lower_lrn, _channels_last),
    "LSTM": Rule(lower_lstm, _as_is),
    "LayerNormalization": Rule(lower_layer_normalization, _as_is),
    "LeakyRelu": Rule(lower_leaky_relu, _either, integer=True),
    "LpNormalization": Rule(lower_lp_normalization, _as_is),
    "LpPool": Rule(lower_lp_pool, _channels_last),
    "MatMul": Rule(lower_matmul, _as_is, integer=True, operands=2),
    "MaxPool": Rule(lower_max_pool, _channels_last, integer=True, shares_parameters=True),
    "Mul": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2),
    "Pad": Rule(lower_pad, pad_demand, integer=True, shares_parameters=True),
    "QuantizeLinear": Rule(lower_quantize_linear, _either),
    "RNN": Rule(lower_rnn, _as_is),
    "ReduceMax": Rule(lower_reduce, reduce_demand, integer=True, shares_parameters=True),
    "ReduceMean": Rule(lower_reduce, reduce_demand, integer=True),
    "ReduceMin": Rule(lower_reduce, reduce_demand, integer=True, shares_parameters=True),
    "ReduceSum": Rule(lower_reduce, reduce_demand, integer=True),
    "Relu": Rule(lower_clamp, _either, integer=True, shares_parameters=True),
    "Reshape": Rule(lower_reshape, reshape_demand, integer=True, shares_parameters=True),
    "Resize": Rule(lower_resize, resize_demand, integer=True, shares_parameters=True),
    "Sigmoid": Rule(lower_sigmoid, _either, integer=True, fixed_parameters=(1 / 256, -128)),
    "Slice": Rule(lower_slice, slice_demand, integer=True, shares_parameters=True),
    "Softmax": Rule(lower_softmax, softmax_demand, integer=True, fixed_parameters=(1 / 256, -128)),
    "Sub": Rule(lower_elementwise, broadcast_demand, integer=True, operands=2),
    "Tanh": Rule(lower_tanh, _either, integer=True, fixed_parameters=(1 / 128, 0)),
    "Transpose": Rule(lower_transpose, transpose_demand, integer=True, shares_parameters=True),
}

UNKNOWN = Rule(_refuse, _as_is)


def rule_for(node: ir.Node) -> Rule:
    """The rule for a node; one that refuses where there is none."""
    return UNKNOWN if node.domain else RULES.get(node.op_type, UNKNOWN)
