"""Values of a graph as TensorFlow has them: images channels first, as ONNX has them, or last, as its kernels do."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any
"""A ``tf.Tensor``; TensorFlow ships no types."""

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""The orders of axes that bring images from one form to the other."""


class Held:
    """One value, in the form that it was made in; the other is made when first asked for.

    Args:
        plain: With its axes as in the graph.
        last: Of a value of rank 4: with the second axis moved to the end.
    """

    def __init__(self, plain: Tensor | None = None, last: Tensor | None = None) -> None:
        self._plain = plain
        self._last = last
        self.made_last = last is not None

    @property
    def plain(self) -> Tensor:
        """With its axes as in the graph."""
        if self._plain is None:
            self._plain = tf.transpose(self._last, TO_FIRST)
        return self._plain

    @property
    def last(self) -> Tensor:
        """With the second of four axes moved to the end."""
        if self._last is None:
            self._last = tf.transpose(self._plain, TO_LAST)
        return self._last
