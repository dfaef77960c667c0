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

from edgefleet_compiler.checks.runtimes.affine import AffineIo
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import ModelMalformed


class LiteRtRunner:
    """A ``.tflite`` file loaded into LiteRT on one thread.

    Args:
        data: The bytes of the file.
        delegates: Whether XNNPACK takes the operators it can.

    Raises:
        ModelMalformed: LiteRT does not load it.
    """

    def __init__(self, data: bytes, *, delegates: bool) -> None:
        resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            with _quiet_stderr():
                self._interpreter: Any = Interpreter(
                    model_content=data, num_threads=1, experimental_op_resolver_type=resolver
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as cause:
            raise ModelMalformed(f"LiteRT does not load the model: {cause}") from cause
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self._affines = {entry["index"]: _affine(entry) for entry in (*self._inputs, *self._outputs)}
        self.inputs = tuple(_describe(entry) for entry in self._inputs)
        self.outputs = tuple(_describe(entry) for entry in self._outputs)

    def run(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference on real values; see ``Runner``."""
        for entry, value in zip(self._inputs, values, strict=True):
            affine = self._affines[entry["index"]]
            self._interpreter.set_tensor(entry["index"], value if affine is None else affine.store(value))
        self._interpreter.invoke()
        return [self._read(entry) for entry in self._outputs]

    def _read(self, entry: Mapping[str, Any]) -> NDArray[np.generic]:
        stored: NDArray[np.generic] = self._interpreter.get_tensor(entry["index"])
        affine = self._affines[entry["index"]]
        return stored if affine is None else affine.load(stored)


def _describe(entry: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(entry["name"], tuple(int(size) for size in entry["shape"]), np.dtype(entry["dtype"]))


def _affine(entry: Mapping[str, Any]) -> AffineIo | None:
    scale, zero_point = entry["quantization"]
    return AffineIo(float(scale), int(zero_point), np.dtype(entry["dtype"])) if scale else None


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
