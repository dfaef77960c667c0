"""onnxruntime as it computes on an x86 processor without VNNI: the emulator's Haswell, whatever the host has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PROGRAM = """
import sys
import numpy as np
import onnxruntime
model, inputs, exact, outputs = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.x64quantprecision", exact)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
np.save(outputs, np.stack([session.run(None, {name: case})[0] for case in np.load(inputs)]))
"""


def run_without_vnni(
    model: bytes, cases: NDArray[np.generic], folder: Path, *, exact: bool = False
) -> NDArray[np.generic]:
    """The first output of a model with one input, for each case.

    Args:
        model: An ONNX file.
        cases: Shape (cases, *shape of the input).
        folder: For files on the way.
        exact: Let onnxruntime widen before it multiplies, which never saturates: what VNNI gives, on any host.
    """
    emulator = shutil.which("qemu-x86_64")
    assert emulator is not None, "apt-get install qemu-user"
    paths = [folder / name for name in ("model.onnx", "cases.npy", "outputs.npy")]
    paths[0].write_bytes(model)
    np.save(paths[1], cases)
    command = [emulator, "-cpu", "Haswell", sys.executable, "-c", _PROGRAM, *map(str, paths[:2]), str(int(exact))]
    ended = subprocess.run([*command, str(paths[2])], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    outputs: NDArray[np.generic] = np.load(paths[2])
    return outputs
