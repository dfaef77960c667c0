"""Ratios by which sums of products are brought to int8 outputs: below 256, which XNNPACK demands of every channel.

The ratio is input scale times weight scale by output scale. Where it is 255 or more, a sum of one already lies beyond
the int8 range of the output, on whichever side: the channel says no more than the sign of its sums, as one that is
nearly dead does beside others. With the same integers and a ratio of 255 it says just that. So the scales of such a
channel's weights and bias are lowered, and no output changes; XNNPACK refuses the whole file otherwise
(``xnn_define_convolution_2d`` and its like: "requantization scale is greater or equal to 256.0").
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.clip import interval_of
from edgefleet_compiler.hub.graph import constant, dtype_of, name_of, sole_consumer
from edgefleet_compiler.quantise.operators import WEIGHTED
from edgefleet_compiler.quantise.parameters import Floats, bias_scales

LARGEST_RATIO = 255.0
"""With it a sum of one leaves the 256 values of int8, wherever zero lies among them."""


def with_bounded_ratios(model: ir.Model) -> ir.Model:
    """A quantised hub whose layers all have ratios that XNNPACK takes.

    Args:
        model: A hub with pairs; it is not changed.

    Returns:
        A copy in which scales of weights and biases are lowered; the very hub that was given where none has to be.
    """
    copy = model.clone()
    bounded = [_bound(node) for node in copy.graph if node.op_type in WEIGHTED]
    return copy if any(bounded) else model


def _bound(node: ir.Node) -> bool:
    """Lower the scales of a layer where its ratio is too large; whether that was so."""
    weights, given = _dequantise(node, 1), _dequantise(node, 0)
    input_scale, output_scale = _scale(given), _output_scale(node)
    scales = None if weights is None else constant(weights.inputs[1])
    if weights is None or scales is None or input_scale is None or output_scale is None:
        return False
    # float32 numbers: what kernels make of the three differs from this by some units in the last place.
    lowered = np.minimum(scales, np.float32(LARGEST_RATIO * output_scale / input_scale))
    if constant(weights.inputs[0]) is None or np.array_equal(lowered, scales):
        return False
    _store(weights.inputs[1], lowered)
    bias = _dequantise(node, 2)
    if bias is not None:
        _store(bias.inputs[1], bias_scales(lowered, input_scale))
    return True


def _output_scale(node: ir.Node) -> float | None:
    """The scale of the int8 numbers that a layer gives, behind the activation fused into it; None where it has none."""
    follower = sole_consumer(node.outputs[0])
    interval = interval_of(follower)
    if follower is not None and interval is not None and interval.low <= 0.0 <= interval.high:
        follower = sole_consumer(follower.outputs[0])
    if follower is None or follower.op_type != "QuantizeLinear" or dtype_of(follower.outputs[0]) != ir.DataType.INT8:
        return None
    return _scale(follower)


def _dequantise(node: ir.Node, index: int) -> ir.Node | None:
    value = node.inputs[index] if len(node.inputs) > index else None
    producer = None if value is None else value.producer()
    return producer if producer is not None and producer.op_type == "DequantizeLinear" else None


def _scale(node: ir.Node | None) -> float | None:
    """The one scale of a pair's node; None where it has more."""
    scale = None if node is None else constant(node.inputs[1])
    return float(scale.reshape(())) if scale is not None and scale.size == 1 else None


def _store(value: ir.Value | None, scales: Floats) -> None:
    assert value is not None
    value.const_value = ir.Tensor(scales, name=name_of(value))
