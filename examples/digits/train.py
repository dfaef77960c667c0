"""Train the digits classifier and export it to ``digits.onnx``.

Run once: ``pip install 'edgefleet[tensorflow]' tf2onnx && python train.py``. The file it made is committed, so that
nothing needs TensorFlow to compile it.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from keras import layers

HERE = Path(__file__).parent
SEED = 7
EPOCHS = 60


def build() -> keras.Model:
    """A small residual network: raw pixels 0..16, shape (1, 8, 8, 1), to ten probabilities."""
    image = keras.Input((8, 8, 1), batch_size=None, name="image")
    x = layers.Rescaling(1 / 16)(image)
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    stem = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(stem)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.Conv2D(16, 1, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(layers.Add()([stem, x]))
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.1)(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="probabilities")(x))


def shifted(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each image moved by -1, 0 or 1 pixel along both axes, zeros moving in."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moves = generator.integers(0, 3, (len(images), 2))
    return np.stack([image[r : r + 8, c : c + 8] for image, (r, c) in zip(padded, moves, strict=True)])


def main() -> None:
    """Train, print the validation accuracy, export."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    train, validation = np.load(HERE / "train.npz"), np.load(HERE / "validation.npz")
    x, y = train["x"].astype(np.float32), train["y"].astype(np.int32)
    generator = np.random.default_rng(SEED)
    moved = np.concatenate([x] + [shifted(x, generator) for _ in range(4)])

    model = build()
    steps = EPOCHS * len(moved) // 64
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(moved, np.tile(y, 5), batch_size=64, epochs=EPOCHS, verbose=2)
    loss, accuracy = model.evaluate(validation["x"].astype(np.float32), validation["y"], verbose=0)
    print(f"validation: loss {loss:.4f}, accuracy {accuracy:.4f}")

    signature = [tf.TensorSpec((1, 8, 8, 1), tf.float32, name="image")]
    tf2onnx.convert.from_keras(model, signature, opset=17, output_path=str(HERE / "digits.onnx"))


if __name__ == "__main__":
    main()
