"""onnxruntime on the CPU, without its telemetry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgefleet_contract.errors import InferenceFailed


class OnnxRuntime:
    """An ``.onnx`` file in onnxruntime.

    Args:
        artifact: The file, or its contents.
        threads: Within an operator.

    Raises:
        InferenceFailed: It does not load the file.
    """

    def __init__(self, artifact: Path | bytes, *, threads: int) -> None:
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong comes as an exception
        if _saturates_u8s8(Path("/proc/cpuinfo")):
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            given = artifact if isinstance(artifact, bytes) else str(artifact)
            self._session: Any = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        except Exception as cause:  # onnxruntime has a class of its own for each status, below Exception
            raise InferenceFailed(f"onnxruntime does not load the artifact: {cause}") from cause
        self._input_names = [entry.name for entry in self._session.get_inputs()]

    def describe(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Shapes of inputs and outputs; see ``Runtime``."""
        return _shapes(self._session.get_inputs()), _shapes(self._session.get_outputs())

    def run(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference; see ``Runtime``."""
        try:
            outputs: list[NDArray[np.generic]] = self._session.run(
                None, dict(zip(self._input_names, values, strict=True))
            )
        except Exception as cause:  # as above
            raise InferenceFailed(f"onnxruntime fails on an input: {cause}") from cause
        return outputs

    def rest(self) -> None:
        """Nothing: states are inputs and outputs here, and callers keep them; see ``Runtime``."""


def _shapes(entries: Sequence[Any]) -> list[tuple[int, ...]]:
    """Shapes with an open batch taken for 1, which is what it is run with."""
    return [tuple(size if isinstance(size, int) else 1 for size in entry.shape) for entry in entries]


def _saturates_u8s8(cpuinfo: Path) -> bool:
    """Whether this is an x86 processor whose 8-bit products are added in 16 bits with saturation.

    Without VNNI, U8S8 kernels use VPMADDUBSW, which saturates (Intel SDM vol. 2B); the session option makes them
    keep one bit less of the weights' range instead of losing accuracy unnoticed.
    """
    flags = next((line.split() for line in _lines(cpuinfo) if line.startswith("flags")), [])
    return "sse2" in flags and not {"avx512_vnni", "avx_vnni"} & set(flags)


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []
