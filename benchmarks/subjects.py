"""The models that are measured: digits always, the MLPerf Tiny models where ``../shared`` holds them.

Inputs for the models without a public data set at hand are drawn as in MLPerf Tiny's statistics: keyword spotting
N(0, 1) scaled to the int8 model's input range, anomaly detection uniform over its range. They show numeric fidelity,
not accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Draw = Callable[[np.random.Generator, int], np.ndarray]
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@dataclass(frozen=True)
class Subject:
    """A model and its data.

    Attributes:
        name: In the table.
        model: Float source.
        calibration, validation: ``.npz`` files.
    """

    name: str
    model: Path
    calibration: Path
    validation: Path


def subjects(folder: Path) -> list[Subject]:
    """All models at hand; drawn inputs are written to ``folder``."""
    digits = ROOT / "examples" / "digits"
    found = [Subject("digits", digits / "digits.onnx", digits / "calibration.npz", digits / "validation.npz")]
    if not SHARED.is_dir():
        return found
    data, models = SHARED / "data", SHARED / "models"
    calibration, validation = data / "cifar10_calibration.npz", data / "cifar10_validation.npz"
    found.append(Subject("ic", models / "pretrainedResnet.tflite", calibration, validation))
    found.append(Subject("vww", models / "vww_96_float.tflite", *_upscaled(folder, calibration, validation)))
    found.append(Subject("kws", models / "kws_ref_model_float32.tflite", *_drawn(folder, "kws", _speech)))
    found.append(Subject("ad", models / "ad01_fp32.tflite", *_drawn(folder, "ad", _machine)))
    return found


def _speech(generator: np.random.Generator, n: int) -> np.ndarray:
    low, high = -123.4, 25.7  # input range of MLPerf's int8 model
    drawn = generator.normal(size=(n, 49, 10, 1)) * (high - low) / 6 + (high + low) / 2
    return np.clip(drawn, low, high).astype(np.float32)


def _machine(generator: np.random.Generator, n: int) -> np.ndarray:
    low, high = -84.9, 14.9
    drawn = generator.normal(size=(n, 640)) * (high - low) / 6 + (high + low) / 2
    return np.clip(drawn, low, high).astype(np.float32)


def _drawn(folder: Path, name: str, draw: Draw) -> tuple[Path, Path]:
    paths = folder / f"{name}-calibration.npz", folder / f"{name}-validation.npz"
    for seed, (path, n) in enumerate(zip(paths, (300, 2000), strict=True), start=1):
        np.savez(path, x=draw(np.random.default_rng(seed), n))
    return paths


def _upscaled(folder: Path, calibration: Path, validation: Path) -> tuple[Path, Path]:
    """CIFAR images scaled up three times and divided by 255: 200 to calibrate, 500 to compare."""
    paths = folder / "vww-calibration.npz", folder / "vww-validation.npz"
    for path, source, n in zip(paths, (calibration, validation), (200, 500), strict=True):
        images = np.load(source)["x"][:n].repeat(3, axis=1).repeat(3, axis=2)
        np.savez(path, x=images.astype(np.float32) / 255)
    return paths
