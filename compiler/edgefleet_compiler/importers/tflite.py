"""TFLite files into the hub."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.importers.finite import refuse_non_finite
from edgefleet_compiler.lift import lift
from edgefleet_compiler.tflite.reader import read_tflite


def import_tflite(data: bytes) -> ir.Model:
    """The raw hub of a ``.tflite`` model.

    Args:
        data: The whole file.

    Returns:
        ONNX of opset 21; inputs and outputs as in the file, N, H, W, C where they are images.

    Raises:
        ModelMalformed: The file is no TFLite model, is truncated or contradicts itself, or has weights that are NaN.
        OperatorUnsupported: Operators that have no way into the hub, all of them.
    """
    model = lift(read_tflite(data))
    refuse_non_finite(model.graph)
    return model
