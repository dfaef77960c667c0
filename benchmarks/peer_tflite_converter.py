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


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]  # Keras ships no types
    """As files of older versions write it: with ``groups``, which Keras 3 refuses."""

    def __init__(self, *, groups: int = 1, **options: object) -> None:
        del groups
        super().__init__(**options)


def main(model: Path, calibration: Path, destination: Path) -> None:
    """Quantise ``model``."""
    cases = np.load(calibration)["x"]

    def representative() -> Iterator[list[np.ndarray]]:
        for case in cases:
            yield [case[None].astype(np.float32)]

    loaded = keras.models.load_model(model, custom_objects={"DepthwiseConv2D": DepthwiseConv2D}, compile=False)
    converter = tf.lite.TFLiteConverter.from_keras_model(loaded)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    destination.write_bytes(converter.convert())


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
