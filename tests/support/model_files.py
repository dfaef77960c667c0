"""Model files and data sets of a small image classifier, for tests of the compiler's shell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from support.onnx_graphs import OnnxGraph

CLASSES = 4


def classifier(seed: int = 3) -> OnnxGraph:
    """Image (1, 1, 8, 8) to four probabilities: Conv, Relu, MaxPool, Gemm, Softmax."""
    graph = OnnxGraph(seed)
    image = graph.input("image", 1, 1, 8, 8)
    features = graph.node("Relu", graph.conv(image, (1, 6), (3, 3), pads=[1, 1, 1, 1]))
    pooled = graph.node("MaxPool", features, kernel_shape=[2, 2], strides=[2, 2])
    logits = graph.gemm(graph.reshape(pooled, 1, 96), 96, CLASSES)
    graph.node("Softmax", logits, axis=1, name="probabilities")
    return graph


def write_classifier(path: Path, seed: int = 3) -> Path:
    """The classifier as an ``.onnx`` file."""
    path.write_bytes(classifier(seed).proto("probabilities").SerializeToString())
    return path


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Random images, shape (count, 1, 8, 8)."""
    return np.random.default_rng(seed).normal(size=(count, 1, 8, 8)).astype(np.float32)


def write_calibration(path: Path, count: int = 60, seed: int = 0) -> Path:
    """Unlabelled images as ``.npz``."""
    np.savez(path, x=images(count, seed))
    return path


def write_validation(path: Path, model: Path, count: int = 80, seed: int = 1) -> Path:
    """Images with the labels that the model itself gives them, so that its own accuracy is 1."""
    from edgefleet_compiler.checks.runtimes import open_runner

    runner, cases = open_runner(model.read_bytes(), "onnx"), images(count, seed)
    labels = [int(np.argmax(runner.run([case[np.newaxis]])[0])) for case in cases]
    np.savez(path, x=cases, y=np.array(labels, np.uint8))
    return path
