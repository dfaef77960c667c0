"""The files that ``keras_models.py`` writes: made once a test run, by a process of its own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAKER = Path(__file__).with_name("keras_models.py")

Cases = tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]


@functools.cache
def _kept_folder() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="keras-models-")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_HOME": folder.name}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, str(MAKER), folder.name],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def keras_files() -> Path:
    """The folder with all of them."""
    return Path(_kept_folder().name)


def cases_of(name: str) -> Cases:
    """Inputs of a model and what Keras computed of them; the first axis of each array counts the cases."""
    with np.load(keras_files() / f"{name}.npz") as arrays:
        stored = dict(arrays)
    return _numbered(stored, "input"), _numbered(stored, "output")


def _numbered(arrays: dict[str, NDArray[np.float32]], role: str) -> list[NDArray[np.float32]]:
    return [arrays[f"{role}/{index}"] for index in range(sum(name.startswith(role) for name in arrays))]


def one(arrays: Sequence[NDArray[np.float32]], case: int) -> list[NDArray[np.float32]]:
    """One case of each array, with a batch of 1."""
    return [array[case : case + 1] for array in arrays]
