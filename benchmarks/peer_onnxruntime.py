"""The peer: onnxruntime.quantization's static QDQ, per channel.

Run as a process of its own: ``python -m benchmarks.peer_onnxruntime FLOAT.onnx CALIBRATION.npz OUT.onnx TYPES RANGES``;
TYPES is ``U8S8``, its fastest, ``S8S8``, its default, or ``U8S4``, weights of 4 bits; RANGES is ``min-max`` or
``percentile``.
"""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

_TYPES = {
    "U8S8": (QuantType.QUInt8, QuantType.QInt8),
    "S8S8": (QuantType.QInt8, QuantType.QInt8),
    "U8S4": (QuantType.QUInt8, QuantType.QInt4),
}
"""Of activations and weights."""
_METHODS = {"min-max": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """The calibration set, one case at a time."""

    def __init__(self, path: Path, name: str) -> None:
        self._cases: Iterator[dict[str, np.ndarray]] = (
            {name: case[None].astype(np.float32)} for case in np.load(path)["x"]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next case."""
        return next(self._cases, None)


def main(model: Path, calibration: Path, destination: Path, *, types: str, ranges: str) -> None:
    """Quantise ``model``."""
    logging.disable(logging.WARNING)
    name = onnx.load(model).graph.input[0].name
    activations, weights = _TYPES[types]
    quantize_static(
        model, destination, Reader(calibration, name), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=activations, weight_type=weights, calibrate_method=_METHODS[ranges],
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), types=sys.argv[4], ranges=sys.argv[5])
