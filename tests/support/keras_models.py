"""Writes Keras models of all kinds, and what they compute: ``python keras_models.py FOLDER``, in a process of its own.

For each good model: the file, ``NAME.npz`` with an input of several cases and what Keras computes of it, and
``NAME.tflite``, converted by the importer's own code, which costs one start of TensorFlow for all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from edgefleet_compiler.importers.tensorflow.child.conversion import convert
from edgefleet_compiler.importers.tensorflow.child.keras_model import load_keras

CASES = 5


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((8, 8, 1), name="picture"),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(4, activation="softmax", name="classes"),
        ]
    )


def residual() -> keras.Model:
    """Batch norms, ReLU6, a depthwise convolution and a residual, as in MobileNets."""
    image = layers.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    stem = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(stem)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.Conv2D(8, 1)(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([stem, x]))
    return keras.Model(image, layers.Dense(5, activation="softmax", name="classes")(x))


def recurrent(kind: type[layers.Layer]) -> keras.Model:
    steps = layers.Input((7, 5), name="steps")
    x = kind(6, return_sequences=True)(steps)
    return keras.Model(steps, layers.Dense(3, name="scores")(layers.Bidirectional(kind(4))(x)))


def transformer() -> keras.Model:
    """One block: attention, layer norms, and a GELU that Keras computes with erfc."""
    words = layers.Input((6, 16), name="words")
    attended = layers.MultiHeadAttention(2, 8)(words, words)
    x = layers.LayerNormalization()(words + attended)
    x = layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, activation="gelu")(x)))
    return keras.Model(words, layers.Dense(4, activation="softmax", name="classes")(layers.GlobalAveragePooling1D()(x)))


def unet() -> keras.Model:
    image = layers.Input((16, 16, 3), name="image")
    wide = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    deep = layers.Conv2D(8, 3, padding="same", activation="swish")(layers.MaxPooling2D()(wide))
    up = layers.Conv2DTranspose(6, 2, strides=2)(deep)
    up = layers.UpSampling2D(2, interpolation="bilinear")(layers.Concatenate()([up, wide]))
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(up))


def branching() -> keras.Model:
    """Two inputs and two outputs whose names are not in the order of the alphabet."""
    first, second = layers.Input((8,), name="zebra"), layers.Input((8,), name="ant")
    x = layers.Concatenate()([first, second * 2.0])
    return keras.Model([first, second], [layers.Dense(2, name="young")(x), layers.Dense(3, name="blue")(x)])


def open_sizes() -> keras.Model:
    image = layers.Input((None, None, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same")(image))
    return keras.Model(image, layers.Dense(2, name="classes")(x))


MODELS: dict[str, Callable[[], keras.Model]] = {
    "sequential": sequential,
    "residual": residual,
    "lstm": lambda: recurrent(layers.LSTM),
    "gru": lambda: recurrent(layers.GRU),
    "transformer": transformer,
    "unet": unet,
    "branching": branching,
}


def main(folder: Path) -> None:
    keras.utils.set_random_seed(4)
    for name, make in MODELS.items():
        model = make()
        shake(model)
        path = folder / f"{name}.keras"
        model.save(path)
        write_cases(model, folder / f"{name}.npz")
        (folder / f"{name}.tflite").write_bytes(converted(path))
    sequential().save(folder / "old.h5")
    open_sizes().save(folder / "open.keras")
    residual_model = residual()
    shake(residual_model)
    write_cases(residual_model, folder / "saved_model.npz")
    residual_model.export(folder / "saved_model", verbose=False)
    write_refused(folder)


def shake(model: keras.Model) -> None:
    """Let batch norms and biases have values of their own."""
    generator = np.random.default_rng(6)
    model.set_weights([w + generator.uniform(0, 0.3, w.shape).astype(w.dtype) for w in model.get_weights()])


def write_cases(model: keras.Model, path: Path) -> None:
    generator = np.random.default_rng(5)
    inputs = [generator.normal(size=(CASES, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
    outputs = tf.nest.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    arrays = {f"input/{index}": value for index, value in enumerate(inputs)}
    arrays |= {f"output/{index}": np.asarray(value) for index, value in enumerate(outputs)}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def converted(path: Path) -> bytes:
    return convert(load_keras(path, {}))


class Doubled(layers.Layer):
    """A layer that only this file knows."""

    def call(self, x: Any) -> Any:
        return 2 * x


def write_refused(folder: Path) -> None:
    """Models that must not be loaded: the Lambda's code would leave a file behind."""
    mark = str(folder / "code-was-run")

    def harm(x: Any) -> Any:
        open(mark, "w").close()  # noqa: PTH123
        return x

    for suffix in ("h5", "keras"):
        keras.Sequential([layers.Input((4,)), layers.Lambda(harm, name="innocent")]).save(folder / f"lambda.{suffix}")
        keras.Sequential([layers.Input((4,)), Doubled(name="twice")]).save(folder / f"custom.{suffix}")
    Path(mark).unlink(missing_ok=True)
    keras.Sequential([layers.Input((4, 3), batch_size=1), layers.LSTM(2, stateful=True, name="memory")]).save(
        folder / "stateful.keras"
    )
    half = layers.Dense(3, dtype="mixed_float16")
    keras.Sequential([layers.Input((4,)), half]).save(folder / "half.keras")
    write_file_reader(folder / "reads_files")


def write_file_reader(folder: Path) -> None:
    """A SavedModel whose graph reads a file of the machine that runs it."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)}

    tf.saved_model.save(module, str(folder), signatures=serve)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
