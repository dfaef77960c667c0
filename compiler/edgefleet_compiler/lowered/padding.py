"""TFLite's two paddings, SAME and VALID, and the explicit amounts that they stand for.

TensorFlow's documentation of ``tf.nn.convolution``: SAME gives ceil(extent / stride) outputs and pads what is missing
for that, the smaller half before; VALID pads nothing.
"""

from __future__ import annotations


def reach(kernel: int, dilation: int) -> int:
    """How many elements one window of a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def needed_after(extent: int, window: int, stride: int, before: int, outputs: int) -> int:
    """How many elements must follow ``extent``, with ``before`` in front, so that the last window is whole."""
    return max((outputs - 1) * stride + window - extent - before, 0)


def is_same(extent: int, window: int, stride: int, before: int, outputs: int) -> bool:
    """Whether SAME puts ``before`` elements in front and gives ``outputs`` windows."""
    missing = max((outputs - 1) * stride + window - extent, 0)
    return outputs == -(-extent // stride) and before == missing // 2
