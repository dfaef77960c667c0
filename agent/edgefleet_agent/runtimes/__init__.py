"""Inference runtimes, one file each. They are imported in the inference child alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgefleet_contract.errors import RuntimeUnavailable
from edgefleet_contract.manifest import RuntimeNeed


class Runtime(Protocol):
    """A loaded artifact."""

    def describe(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Shapes of the inputs and of the outputs, in the artifact's order."""

    def run(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference on stored values (integers where the artifact takes integers), batch of 1 included."""

    def rest(self) -> None:
        """Forget what earlier inferences left in the artifact's states, if it has any."""


def open_runtime(need: RuntimeNeed, artifact: Path | bytes, *, threads: int) -> Runtime:
    """Load an artifact into the runtime it needs.

    Args:
        need: The runtime.
        artifact: The file, or its contents.
        threads: Of the runtime.

    Raises:
        RuntimeUnavailable: That runtime is not installed.
        InferenceFailed: It does not load the artifact.
    """
    try:
        match need.name:
            case "litert" | "tflite-runtime":
                from edgefleet_agent.runtimes.litert import LiteRt  # noqa: PLC0415 - one runtime a child

                return LiteRt(artifact, threads=threads)
            case "onnxruntime":
                from edgefleet_agent.runtimes.onnxruntime import OnnxRuntime  # noqa: PLC0415 - one runtime a child

                return OnnxRuntime(artifact, threads=threads)
            case "tflite-micro":
                raise RuntimeUnavailable("The bundle is for a microcontroller", expected="one for this device")
            case "onnxruntime-web":
                raise RuntimeUnavailable("The bundle is for a web browser", expected="one for this device")
    except ImportError as cause:
        raise RuntimeUnavailable(
            f"This device lacks the runtime {need.name!r}: {cause}",
            expected=f"{need.name} {need.min_version} or newer",
            remedy=f"Install it with `pip install 'edgefleet[agent,{need.name}]'`.",
            runtime=need.name,
        ) from cause
