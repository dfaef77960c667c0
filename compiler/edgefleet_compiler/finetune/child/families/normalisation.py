"""LayerNormalization."""

from __future__ import annotations

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Held
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integer, real


def _layer(site: Site) -> list[Held]:
    """ONNX operator specification, LayerNormalization, opset 17: the variance is the biased one."""
    values = site.plain()
    axes = list(range(site.axis(integer(site.node, "axis", -1)), site.rank))
    mean, variance = tf.nn.moments(values, axes, keepdims=True)
    result = (values - mean) * tf.math.rsqrt(variance + real(site.node, "epsilon", 1e-5)) * site.plain(1)
    return [Held(result + site.plain(2) if site.has(2) else result)]


FAMILY = {"LayerNormalization": _layer}
