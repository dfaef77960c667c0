"""Jobs of the probe (``probe.py``): models and inputs written to a folder, outputs read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.benchmark import probe
from edgefleet_compiler.benchmark.subject import Model

Arrays = list[NDArray[np.generic]]
SCRIPT = Path(probe.__file__)
JOB = "job.json"  # the probe's one argument; it runs in the folder


def write_job(folder: Path, act: str, models: Sequence[tuple[Model, Arrays]], **options: int) -> None:
    """Write everything that the probe needs for a job.

    Args:
        folder: An empty one.
        act: "count" or "memory".
        models: Each with its inputs, as it stores them.
        **options: What the act needs besides.
    """
    entries = [_write_model(folder, number, *model) for number, model in enumerate(models)]
    job = {"act": act, "models": entries, **options}
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")


def read_outputs(folder: Path, number: int) -> Arrays:
    """The outputs of a job's model, in its order."""
    with np.load(folder / _outputs(number), allow_pickle=False) as archive:
        return [archive[f"arr_{index}"] for index in range(len(archive.files))]


def _write_model(folder: Path, number: int, model: Model, inputs: Arrays) -> dict[str, str]:
    entry = {
        "format": model.format,
        "model": f"{number}.{model.format}",
        "inputs": f"{number}-inputs.npz",
        "outputs": _outputs(number),
    }
    (folder / entry["model"]).write_bytes(model.data)
    np.savez(folder / entry["inputs"], *inputs)
    return entry


def _outputs(number: int) -> str:
    return f"{number}-outputs.npz"
