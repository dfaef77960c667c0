"""The peer: TensorFlow's TFLiteConverter, full int8 with float inputs and outputs, from the Keras file.

Run as a process of its own: ``python -m benchmarks.peer_tflite_converter MODEL.h5 CALIBRATION.npz OUT.tflite``.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}

import keras
import numpy as np
import tensorflow as tf


def main(model: Path, calibration: Path, destination: Path) -> None:
    """Quantise ``model``."""
    cases = np.load(calibration)["x"]

    def representative() -> Iterator[list[np.ndarray]]:
        for case in cases:
            yield [case[None].astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(model, compile=False))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    destination.write_bytes(converter.convert())


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
