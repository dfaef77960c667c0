"""The peer: onnxruntime.quantization's static QDQ, U8S8 per channel, min-max, which is its fastest setting.

Run as a process of its own: ``python -m benchmarks.peer_onnxruntime FLOAT.onnx CALIBRATION.npz OUT.onnx``.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static


class Reader(CalibrationDataReader):
    """The calibration set, one case at a time."""

    def __init__(self, path: Path, name: str) -> None:
        self._cases: Iterator[dict[str, np.ndarray]] = (
            {name: case[None].astype(np.float32)} for case in np.load(path)["x"]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next case."""
        return next(self._cases, None)


def main(model: Path, calibration: Path, destination: Path) -> None:
    """Quantise ``model``."""
    name = onnx.load(model).graph.input[0].name
    quantize_static(
        model, destination, Reader(calibration, name), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
    )  # fmt: skip


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
