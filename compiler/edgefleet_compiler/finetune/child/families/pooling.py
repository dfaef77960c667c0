"""Pools of windows, and of whole images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from edgefleet_compiler.finetune.child.families.windows import Window, padded
from edgefleet_compiler.finetune.child.held import Held, Tensor
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integer

_LEAST = float(np.finfo(np.float32).min)


def _pool(site: Site) -> list[Held]:
    if site.rank != 4:
        site.refuse(f"it has {site.rank - 2} spatial dimensions")
    if len(site.node.outputs) > 1:
        site.refuse("its indices are read")
    window, images = Window.of_pool(site), site.last()
    if site.node.op_type == "MaxPool":
        return [Held(last=_pooled(padded(images, window, _LEAST), window, "MAX"))]
    if set(window.dilations) != {1}:
        site.refuse("averages with dilations have no gradient")
    average = _pooled(padded(images, window, 0.0), window, "AVG")
    if window.pads and not integer(site.node, "count_include_pad", 0):
        average /= _share_inside(site.shape(), window)
    return [Held(last=average)]


def _pooled(images: Tensor, window: Window, kind: str) -> Tensor:
    return tf.nn.pool(images, window.kernel, kind, window.strides, "VALID", dilations=window.dilations)


def _share_inside(shape: tuple[int, ...], window: Window) -> Tensor:
    """How much of each window lies in the image."""
    inside = tf.constant(np.ones((1, *shape[2:], 1), np.float32))
    return tf.constant(_pooled(padded(inside, window, 0.0), window, "AVG"))


def _whole(site: Site) -> list[Held]:
    reduced = tf.reduce_mean if site.node.op_type == "GlobalAveragePool" else tf.reduce_max
    if site.rank == 4:
        return [Held(last=reduced(site.last(), axis=(1, 2), keepdims=True))]
    return [Held(reduced(site.plain(), axis=tuple(range(2, site.rank)), keepdims=True))]


FAMILY = {"AveragePool": _pool, "MaxPool": _pool, "GlobalAveragePool": _whole, "GlobalMaxPool": _whole}
