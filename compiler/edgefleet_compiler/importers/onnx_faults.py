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


def first_line(cause: Exception) -> str:
    """The message without the stack and the dump of the node that may follow."""
    return str(cause).strip().split("\n", maxsplit=1)[0]
