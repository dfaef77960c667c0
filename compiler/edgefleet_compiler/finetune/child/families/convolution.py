"""Conv of one or two dimensions, in groups too. TensorFlow's kernels for processors take images channels last."""

from __future__ import annotations

import tensorflow as tf

from edgefleet_compiler.finetune.child.families.windows import Window, padded
from edgefleet_compiler.finetune.child.held import Held, Tensor
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integer


def _conv(site: Site) -> list[Held]:
    if site.rank not in (3, 4):
        site.refuse(f"it has {site.rank - 2} spatial dimensions")
    window = Window.of_conv(site)
    images = site.last() if site.rank == 4 else tf.transpose(site.plain()[:, :, None, :], (0, 2, 3, 1))
    weights = site.plain(1) if site.rank == 4 else site.plain(1)[:, :, None, :]
    kernel = tf.transpose(weights, (2, 3, 1, 0))
    result = _convolved(padded(images, window, 0.0), kernel, integer(site.node, "group", 1), window)
    if site.has(2):
        result = tf.nn.bias_add(result, site.plain(2))
    if site.rank == 4:
        return [Held(last=result)]
    return [Held(tf.transpose(result, (0, 3, 1, 2))[:, :, 0, :])]


def _convolved(images: Tensor, kernel: Tensor, groups: int, window: Window) -> Tensor:
    """Without padding.

    Args:
        images: Channels last, of the shape (n, h, w, c).
        kernel: Of the shape (kh, kw, c / groups, outputs).
        groups: Of channels.
        window: Strides and dilations.
    """
    if groups == 1:
        return tf.nn.convolution(images, kernel, window.strides, "VALID", dilations=window.dilations)
    channels, outputs = int(images.shape[-1]), int(kernel.shape[-1])
    if groups == channels and len(set(window.strides)) == 1:
        by_channel = tf.reshape(kernel, (*kernel.shape[:2], channels, outputs // channels))
        strides = [1, *window.strides, 1]
        if set(window.dilations) == {1} or set(window.strides) == {1}:  # all that its kernels take
            return tf.nn.depthwise_conv2d(images, by_channel, strides, "VALID", dilations=window.dilations)
    parts = zip(tf.split(images, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([_convolved(part, weights, 1, window) for part, weights in parts], axis=-1)


FAMILY = {"Conv": _conv}
