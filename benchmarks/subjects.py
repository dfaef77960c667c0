"""The models that are measured: the MLPerf Tiny models where ``../shared`` holds them, else the digits.

Inputs for the models without a public data set at hand are drawn as in MLPerf Tiny's statistics: keyword spotting
N(0, 1) scaled to the int8 model's input range, anomaly detection uniform over its range. They show numeric fidelity,
not accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Draw = Callable[[np.random.Generator, int], np.ndarray]
Says = Literal["choice", "score", "ratio"]
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@dataclass(frozen=True)
class Data:
    """Three sets of inputs, ``.npz`` files with ``x`` and perhaps labels ``y``; no case is in two of them.

    Attributes:
        calibration: What every compiler gets.
        tuning: What ``--recipe auto`` gets besides, to choose by.
        validation: What all are judged by, and none has seen.
    """

    calibration: Path
    tuning: Path
    validation: Path


@dataclass(frozen=True)
class Subject:
    """A model and its data.

    Attributes:
        name: In the table.
        model: Float source.
        data: Inputs.
        says: What tells of its outputs beside the signal to noise ratio: its choice; its score of the input, as the
            mean square of what it reconstructs wrongly; or nothing, since it says one thing of all inputs.
        keras: The same model for TensorFlow's converter; None where nobody published one.
    """

    name: str
    model: Path
    data: Data
    says: Says
    keras: Path | None = None


def subjects(folder: Path) -> list[Subject]:
    """The models at hand; inputs that are drawn or cut are written to ``folder``."""
    return _mlperf_tiny(folder) if SHARED.is_dir() else [_digits(folder)]


def _digits(folder: Path) -> Subject:
    digits = ROOT / "examples" / "digits"
    own = Data(digits / "calibration.npz", *_halves(folder, "digits", digits / "validation.npz"))
    return Subject("digits", digits / "digits.onnx", own, "choice")


def _mlperf_tiny(folder: Path) -> list[Subject]:
    data, models = SHARED / "data", SHARED / "models"
    sets = [data / f"cifar10_{name}.npz" for name in ("calibration", "train", "validation")]
    images = Data(sets[0], _first(folder, "ic-tuning", sets[1], 1000), sets[2])
    keras = models / "pretrainedResnet.h5"
    found = [Subject("ic", models / "pretrainedResnet.tflite", images, "choice", keras)]
    drawn = _drawn(folder, "kws", _speech)
    found.append(Subject("kws", models / "kws_ref_model_float32.tflite", drawn, "choice"))
    upscaled = _upscaled(folder, *sets)
    found.append(Subject("vww", models / "vww_96_float.tflite", upscaled, "ratio", models / "vww_96.h5"))
    drawn = _drawn(folder, "ad", _machine)
    found.append(Subject("ad", models / "ad01_fp32.tflite", drawn, "score", models / "ad01.h5"))
    return found


def _halves(folder: Path, name: str, source: Path) -> tuple[Path, Path]:
    """Every second case of a set, and the others."""
    paths = folder / f"{name}-tuning.npz", folder / f"{name}-validation.npz"
    data = np.load(source)
    for start, path in enumerate(paths):
        np.savez(path, x=data["x"][start::2], y=data["y"][start::2])
    return paths


def _first(folder: Path, name: str, source: Path, n: int) -> Path:
    data, path = np.load(source), folder / f"{name}.npz"
    np.savez(path, x=data["x"][:n], y=data["y"][:n])
    return path


def _speech(generator: np.random.Generator, n: int) -> np.ndarray:
    low, high = -123.4, 25.7  # input range of MLPerf's int8 model
    drawn = generator.normal(size=(n, 49, 10, 1)) * (high - low) / 6 + (high + low) / 2
    return np.clip(drawn, low, high).astype(np.float32)


def _machine(generator: np.random.Generator, n: int) -> np.ndarray:
    low, high = -84.9, 14.9
    drawn = generator.normal(size=(n, 640)) * (high - low) / 6 + (high + low) / 2
    return np.clip(drawn, low, high).astype(np.float32)


def _drawn(folder: Path, name: str, draw: Draw) -> Data:
    def written(role: str, seed: int, n: int) -> Path:
        path = folder / f"{name}-{role}.npz"
        np.savez(path, x=draw(np.random.default_rng(seed), n))
        return path

    return Data(written("calibration", 1, 300), written("tuning", 3, 500), written("validation", 2, 2000))


def _upscaled(folder: Path, calibration: Path, tuning: Path, validation: Path) -> Data:
    """CIFAR images scaled up three times and divided by 255."""

    def written(role: str, source: Path, n: int) -> Path:
        path = folder / f"vww-{role}.npz"
        images = np.load(source)["x"][:n].repeat(3, axis=1).repeat(3, axis=2)
        np.savez(path, x=images.astype(np.float32) / 255)
        return path

    return Data(
        written("calibration", calibration, 200), written("tuning", tuning, 200), written("validation", validation, 500)
    )
