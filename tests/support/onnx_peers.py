"""ONNX models quantised by onnxruntime's own quantiser, as people bring them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

Form = Literal["QDQ", "QOperator"]
_TYPES = {"S8": QuantType.QInt8, "U8": QuantType.QUInt8}


def quantised(
    model: Path, destination: Path, rows: NDArray[np.float32], *, form: Form, types: str, per_channel: bool
) -> Path:
    """A float model quantised statically.

    Args:
        model: The float model, with one input.
        destination: Where to write.
        rows: Calibration inputs, each without its batch of 1.
        form: QDQ pairs, or QOperator nodes.
        types: Of activations and weights: "S8S8", "U8S8", "U8U8".
        per_channel: Whether weights have a scale a channel.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(
            model,
            destination,
            _Rows(rows),
            quant_format=QuantFormat[form],
            activation_type=_TYPES[types[:2]],
            weight_type=_TYPES[types[2:]],
            per_channel=per_channel,
        )
    return destination


def quantised_dynamically(model: Path, destination: Path) -> Path:
    """A float model whose activations are quantised at run time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_dynamic(model, destination)
    return destination


class _Rows(CalibrationDataReader):  # type: ignore[misc]  # the package ships no types
    def __init__(self, rows: NDArray[np.float32]) -> None:
        self._rows: Iterator[dict[str, Any]] = iter([{"image": row[np.newaxis]} for row in rows])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._rows, None)
