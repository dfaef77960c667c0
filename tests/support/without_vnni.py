"""onnxruntime as it computes on an x86 processor without VNNI: the emulator's Haswell, whatever the host has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import onnxruntime
for folder in map(Path, sys.argv[1:]):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", str(int((folder / "exact").exists())))
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [session.run(None, {name: case})[0] for case in np.load(folder / "cases.npy")]
    np.save(folder / "outputs.npy", np.stack(outputs))
"""


@dataclass(frozen=True)
class Work:
    """What is to be run.

    Attributes:
        model: An ONNX file with one input.
        cases: Shape (cases, *shape of the input).
        exact: Let onnxruntime widen before it multiplies, which never saturates: what VNNI gives, on any host.
    """

    model: bytes
    cases: NDArray[np.generic]
    exact: bool = False


def run_without_vnni(works: Sequence[Work], folder: Path) -> list[NDArray[np.generic]]:
    """The first outputs of models, for each of their cases; one process runs all, as starting it takes seconds.

    Args:
        works: What to run.
        folder: For files on the way.
    """
    emulator = shutil.which("qemu-x86_64")
    assert emulator is not None, "apt-get install qemu-user"
    places = [folder / str(index) for index in range(len(works))]
    for place, work in zip(places, works, strict=True):
        place.mkdir()
        (place / "model.onnx").write_bytes(work.model)
        np.save(place / "cases.npy", work.cases)
        if work.exact:
            (place / "exact").touch()
    command = [emulator, "-cpu", "Haswell", sys.executable, "-c", _PROGRAM, *map(str, places)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return [np.load(place / "outputs.npy") for place in places]
