"""Runtimes as the compiler uses them: to run a source or an artifact on the host, one case at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.tensors import TensorInfo
from edgefleet_hardware.profile import RuntimeName

# How a model is executed. "deployed": as the runtime runs it on a device (LiteRT with its default delegate,
# onnxruntime with all graph optimisations). "plain": each operator by itself, by the runtime's own kernels.
Execution = Literal["deployed", "plain"]


class Runner(ABC):
    """A model loaded into a runtime.

    Attributes:
        inputs: What it takes, in its order.
        outputs: What it gives, in its order.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    @abstractmethod
    def infer(self, stored: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference on stored values, one array an input, batch included; stored values come out."""

    def store(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Real inputs as the model stores them."""
        return [tensor.store(value) for tensor, value in zip(self.inputs, values, strict=True)]

    def run(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference on real values; real values come out."""
        results = self.infer(self.store(values))
        return [tensor.load(result) for tensor, result in zip(self.outputs, results, strict=True)]


def open_runner(data: bytes, model_format: str, *, execution: Execution = "deployed", threads: int = 1) -> Runner:
    """Load a model into the runtime of its format.

    Args:
        data: The bytes of the file.
        model_format: "tflite" or "onnx".
        execution: How it is executed.
        threads: Within an operator.

    Raises:
        ModelMalformed: The runtime does not load it.
    """
    if model_format == "tflite":
        from edgefleet_compiler.checks.runtimes.litert import LiteRtRunner  # noqa: PLC0415 - a runtime is heavy

        return LiteRtRunner(data, delegates=execution == "deployed", threads=threads)
    from edgefleet_compiler.checks.runtimes.onnxruntime import OnnxRuntimeRunner  # noqa: PLC0415 - as above

    return OnnxRuntimeRunner(data, optimise=execution == "deployed", threads=threads)


def execution_of(runtime: RuntimeName) -> Execution:
    """How the host comes nearest to a target's runtime.

    TFLite Micro has no wheel; its kernels compute what LiteRT's own kernels do, but for the rounding of ties.
    """
    return "plain" if runtime == "tflite-micro" else "deployed"
