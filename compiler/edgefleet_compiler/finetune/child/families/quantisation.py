"""QuantizeLinear and DequantizeLinear while training: numbers are rounded, and gradients pass as if they were not.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 3.1; the straight-through estimator of Bengio et al. 2013 (1308.3432), section 4, which passes
nothing where an activation is saturated.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Held, Tensor
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import constant, dtype_of, integer, is_float


def _quantise(site: Site) -> list[Held]:
    """The reals that the integers stand for: a DequantizeLinear that reads them changes nothing."""
    scale, zero_point = site.plain(1), site.plain(2)
    limits = np.iinfo(dtype_of(site.node.outputs[0]).numpy())
    low, high = (limits.min - zero_point) * scale, (limits.max - zero_point) * scale

    def rounded(values: Tensor) -> Tensor:
        inside = tf.clip_by_value(values, low, high)
        steps = tf.clip_by_value(tf.round(values / scale) + zero_point, float(limits.min), float(limits.max))
        return straight_through(inside, (steps - zero_point) * scale)

    return [site.mapped(rounded)]


def _dequantise(site: Site) -> list[Held]:
    source = site.node.inputs[0]
    assert source is not None
    if site.operand(0).is_activation:
        return [site.operand(0).held]
    dtype = dtype_of(source)
    shape = [1] * site.rank
    if site.shape(1):
        shape[integer(site.node, "axis", 1) % site.rank] = -1
    scale = tf.reshape(site.plain(1), shape)
    zero_point = tf.reshape(site.plain(2), shape) if site.has(2) else 0.0
    values = site.plain()
    if constant(source) is None or is_float(source):
        site.refuse("it reads what no training can round")
    if not site.operand(0).is_trained:
        return [Held((values - zero_point) * scale)]
    if dtype.bitwidth == 32:  # the steps of a bias are finer than float32 tells apart
        return [Held(values)]
    least, most = -(2 ** (dtype.bitwidth - 1)), 2 ** (dtype.bitwidth - 1) - 1
    steps = tf.clip_by_value(tf.round(values / scale) + zero_point, float(least), float(most))
    return [Held(straight_through(values, (steps - zero_point) * scale))]


def straight_through(passes: Tensor, shown: Tensor) -> Tensor:
    """What is shown forwards; backwards the gradient of what passes."""
    return passes + tf.stop_gradient(shown - passes)


FAMILY = {"QuantizeLinear": _quantise, "DequantizeLinear": _dequantise}
