"""LiteRT, with its default delegate (XNNPACK); on old 32-bit boards its older self, tflite-runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefleet_contract.errors import InferenceFailed


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - whichever of the two is installed
    except ModuleNotFoundError:
        from tflite_runtime.interpreter import Interpreter  # noqa: PLC0415 - see above
    return Interpreter


class LiteRt:
    """A ``.tflite`` file in LiteRT.

    Args:
        artifact: The file, or its contents.
        threads: Of the interpreter.

    Raises:
        ImportError: Neither LiteRT nor tflite-runtime is installed.
        InferenceFailed: It does not load the file.
    """

    def __init__(self, artifact: Path | bytes, *, threads: int) -> None:
        interpreter_class = _interpreter_class()
        try:
            given = {"model_content": artifact} if isinstance(artifact, bytes) else {"model_path": str(artifact)}
            self._interpreter = interpreter_class(**given, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as cause:
            raise InferenceFailed(f"LiteRT does not load the artifact: {cause}") from cause
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    def describe(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Shapes of inputs and outputs; see ``Runtime``."""
        return tuple([tuple(map(int, entry["shape"])) for entry in side] for side in (self._inputs, self._outputs))  # type: ignore[return-value]  # two sides give a pair

    def run(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference; see ``Runtime``."""
        try:
            for entry, value in zip(self._inputs, values, strict=True):
                self._interpreter.set_tensor(entry["index"], value)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as cause:
            raise InferenceFailed(f"LiteRT fails on an input: {cause}") from cause
        return [self._interpreter.get_tensor(entry["index"]) for entry in self._outputs]

    def rest(self) -> None:
        """Set states to zeros; see ``Runtime``."""
        self._interpreter.reset_all_variables()
