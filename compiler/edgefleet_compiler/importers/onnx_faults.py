"""What the ``onnx`` package raises over a model that it cannot read."""

from __future__ import annotations

import onnx
from onnx import version_converter

ONNX_FAULTS = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    version_converter.ConvertError,
    RuntimeError,
    TypeError,
    ValueError,  # UnicodeDecodeError, too: names and texts that are no UTF-8
)
"""Its own classes have no base class in common, and its C++ code throws others."""


_MOST_LINES = 3


def told_by(cause: Exception) -> str:
    """The message on one line, without the context, stack or dump of a node that may follow an empty line.

    The checker puts the node's name on a line of its own in the middle of a sentence.
    """
    paragraph = str(cause).strip().split("\n\n", maxsplit=1)[0]
    return " ".join(line.strip() for line in paragraph.split("\n")[:_MOST_LINES])
