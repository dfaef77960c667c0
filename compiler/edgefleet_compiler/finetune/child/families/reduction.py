"""Sums, means and extremes along axes."""

from __future__ import annotations

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import TO_LAST, Held
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integer

_REDUCTIONS = {
    "ReduceMax": tf.reduce_max,
    "ReduceMean": tf.reduce_mean,
    "ReduceMin": tf.reduce_min,
    "ReduceSum": tf.reduce_sum,
}


def _reduce(site: Site) -> list[Held]:
    function, keeps = _REDUCTIONS[site.node.op_type], bool(integer(site.node, "keepdims", 1))
    given = site.integers(1)
    if not given:
        site.refuse("it works along the batch")
    axes = [site.axis(axis) for axis in given]
    if site.is_last and keeps:
        return [Held(last=function(site.last(), axis=[TO_LAST.index(axis) for axis in axes], keepdims=True))]
    return [Held(function(site.plain(), axis=axes, keepdims=keeps))]


FAMILY = dict.fromkeys(_REDUCTIONS, _reduce)
