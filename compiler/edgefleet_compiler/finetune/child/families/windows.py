"""Windows that move over images: kernel, strides, dilations and borders of convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Tensor
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integers


@dataclass(frozen=True)
class Window:
    """All of height and width; of one dimension the height is 1.

    Attributes:
        kernel: Extents.
        strides: Steps.
        dilations: Distances of neighbours in the kernel.
        before: What is added above and at the left.
        after: What is added below and at the right, so that windows end where the image does.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @staticmethod
    def of_conv(site: Site) -> Window:
        """That of a convolution."""
        return _window(site, site.shape(1)[2:])

    @staticmethod
    def of_pool(site: Site) -> Window:
        """That of a pool."""
        return _window(site, integers(site.node, "kernel_shape") or ())

    @property
    def pads(self) -> bool:
        """Whether anything is added."""
        return any((*self.before, *self.after))


def _window(site: Site, kernel: tuple[int, ...]) -> Window:
    """Padding at the end is what the extents of the output need: a pool may round up, and then leave the image."""
    count = len(kernel)
    strides = integers(site.node, "strides") or (1,) * count
    dilations = integers(site.node, "dilations") or (1,) * count
    before = (integers(site.node, "pads") or (0,) * 2 * count)[:count]
    after = tuple(
        max(0, (out - 1) * stride + (extent - 1) * dilation + 1 - size - start)
        for size, out, extent, stride, dilation, start in zip(
            site.shape()[2:], site.given[2:], kernel, strides, dilations, before, strict=True
        )
    )
    lone = (1,) * (2 - count)
    nothing = (0,) * (2 - count)
    return Window(lone + kernel, lone + strides, lone + dilations, nothing + before, nothing + after)


def padded(images: Tensor, window: Window, filling: float) -> Tensor:
    """Images, channels last, with the border that a window wants."""
    if not window.pads:
        return images
    borders = list(zip(window.before, window.after, strict=True))
    return tf.pad(images, [(0, 0), *borders, (0, 0)], constant_values=filling)
