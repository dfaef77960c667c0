"""LiteRT: runs ``.tflite`` files, with its default delegate (XNNPACK) or without."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import Runner
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import ModelMalformed
from edgefleet_contract.manifest import Affine


class LiteRtRunner(Runner):
    """A ``.tflite`` file loaded into LiteRT.

    Args:
        data: The bytes of the file.
        delegates: Whether XNNPACK takes the operators it can.
        threads: Within an operator.

    Raises:
        ModelMalformed: LiteRT does not load it.
    """

    def __init__(self, data: bytes, *, delegates: bool, threads: int = 1) -> None:
        resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            with _quiet_stderr():
                self._interpreter: Any = Interpreter(
                    model_content=data, num_threads=threads, experimental_op_resolver_type=resolver
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as cause:
            raise ModelMalformed(f"LiteRT does not load the model: {cause}") from cause
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs = tuple(_describe(entry) for entry in inputs)
        self.outputs = tuple(_describe(entry) for entry in outputs)
        self._input_indices = [entry["index"] for entry in inputs]
        self._output_indices = [entry["index"] for entry in outputs]

    def infer(self, stored: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference on stored values, from rest where the model keeps a state; see ``Runner``."""
        self._interpreter.reset_all_variables()
        self.feed(stored)
        self.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def feed(self, stored: Sequence[NDArray[np.generic]]) -> None:
        """Set the inputs."""
        for index, value in zip(self._input_indices, stored, strict=True):
            self._interpreter.set_tensor(index, value)

    def invoke(self) -> None:
        """One inference on the inputs that are set.

        Raises:
            ModelMalformed: An operator fails.
        """
        try:
            self._interpreter.invoke()
        except RuntimeError as cause:
            raise ModelMalformed(f"LiteRT does not run the model: {cause}") from cause

    def execution(self) -> list[dict[str, Any]]:
        """The operators of the file, and a DELEGATE for each piece that one took: their names, inputs and outputs."""
        details: list[dict[str, Any]] = self._interpreter._get_ops_details()  # noqa: SLF001 - it has no public name
        return details


def _describe(entry: Mapping[str, Any]) -> TensorInfo:
    scale, zero_point = entry["quantization"]
    return TensorInfo(
        name=entry["name"],
        shape=tuple(int(size) for size in entry["shape"]),
        dtype=np.dtype(entry["dtype"]),
        quantisation=Affine(float(scale), int(zero_point)) if scale else None,
    )


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep a C++ log off stderr: LiteRT writes a line there for each delegate and has no switch for it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
