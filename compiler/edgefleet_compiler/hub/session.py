"""Running hub graphs in onnxruntime: one thread, deterministic, telemetry off."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_contract.errors import ModelMalformed


def onnxruntime() -> ModuleType:
    """The module, imported at the first call because that costs 45 MB; its own telemetry is off."""
    # Read by the library when it is loaded; without it, it tries to persist a device id in the home folder.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as module  # noqa: PLC0415 - heavy, and not needed by every command

    module.disable_telemetry_events()
    return module  # type: ignore[no-any-return]  # the package ships no types


class Session:
    """A model loaded into onnxruntime on one thread.

    Args:
        model: A hub model, or a serialised ONNX model.
        optimise: Whether onnxruntime may fuse and reorder; without it each node runs as it stands.

    Raises:
        Exception: Whatever onnxruntime says when it cannot load the model.
    """

    def __init__(self, model: ir.Model | bytes, *, optimise: bool = True) -> None:
        module = onnxruntime()
        options = module.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its errors come as exceptions; the log would repeat them on stderr
        options.enable_cpu_mem_arena = False  # the arena keeps the largest peak for good
        # Nodes run in the order of the graph. By default those that end in outputs may all run last, and everything
        # that they read is kept until then.
        options.execution_order = module.ExecutionOrder.PRIORITY_BASED
        levels = module.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
        # Pad_Fusion makes zeros in front of a MaxPool padding of the MaxPool, which is not zero: a wrong result.
        serialised = model if isinstance(model, bytes) else serialise(model)
        self._session: Any = module.InferenceSession(
            serialised, options, providers=["CPUExecutionProvider"], disabled_optimizers=["Pad_Fusion"]
        )
        self.inputs: list[str] = [entry.name for entry in self._session.get_inputs()]
        self.outputs: list[str] = [entry.name for entry in self._session.get_outputs()]

    def run(
        self, feeds: Mapping[str, NDArray[np.generic]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Compute outputs, all of them unless some are named.

        Args:
            feeds: One array per input, of its shape and type.
            outputs: Names of the outputs wanted.

        Returns:
            The outputs by name.

        Raises:
            ModelMalformed: It cannot be run: its values do not fit each other, or the memory.
        """
        names = list(outputs) if outputs is not None else self.outputs
        if not names:  # onnxruntime takes an empty list for all outputs
            return {}
        try:
            results = self._session.run(names, dict(feeds))
        except Exception as cause:  # onnxruntime has no base class for its errors
            text = str(cause).strip().split("\n", maxsplit=1)[0]
            raise ModelMalformed(f"onnxruntime cannot run the model: {text}") from cause
        return dict(zip(names, results, strict=True))


def serialise(model: ir.Model) -> bytes:
    """The model as the bytes of an ONNX file."""
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))
