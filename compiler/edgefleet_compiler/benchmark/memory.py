"""Memory that a runtime really takes for a model, seen from a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from edgefleet_compiler.benchmark.jobs import JOB, SCRIPT, write_job
from edgefleet_compiler.benchmark.record import HostMemory, ModelEntry
from edgefleet_compiler.benchmark.subject import Model, random_inputs
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_contract.errors import EdgefleetError


def measure_memory(model: Model) -> HostMemory:
    """Load and run a model in a process of its own, which tells its memory at each step.

    Raises:
        ModelMalformed: The runtime does not load it.
        EdgefleetError: The process fails, although this one does not.
    """
    small = _small_model(model.format)
    models = [(each, random_inputs(open_runner(each.data, each.format))) for each in (small, model)]
    with tempfile.TemporaryDirectory(prefix="edgefleet-memory-") as name:
        write_job(Path(name), "memory", models)
        done = subprocess.run(  # noqa: S603 - our own program, without a shell
            [sys.executable, "-P", "-B", str(SCRIPT), JOB],
            cwd=name,
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        raise EdgefleetError(
            f"The process whose memory is measured ended with status {done.returncode}: {done.stderr.strip()[-500:]}"
        )
    return HostMemory(**json.loads(done.stdout))


def _small_model(model_format: Literal["tflite", "onnx"]) -> Model:
    """A model of one operator: running it first leaves what the runtime takes for itself out of the measurement."""
    data = _small_tflite() if model_format == "tflite" else _small_onnx()
    return Model(ModelEntry("", model_format, len(data), ""), data)


def _small_tflite() -> bytes:
    from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor  # noqa: PLC0415 - for this format only
    from edgefleet_compiler.tflite.writer import write_tflite  # noqa: PLC0415 - loads a large schema

    tensors = {name: Tensor(name, (1, 1), np.dtype(np.float32)) for name in ("x", "y")}
    operator = Operator("LOGISTIC", ["x"], ["y"])
    return write_tflite(LoweredGraph(tensors, [operator], ["x"], ["y"]))


def _small_onnx() -> bytes:
    from onnx import TensorProto, helper  # noqa: PLC0415 - for this format only

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Sigmoid", ["x"], ["y"])], "small", [x], [y])
    opset = helper.make_opsetid("", 13)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
