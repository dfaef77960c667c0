"""Running a hub model and its exports side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lowered.graph import LoweredGraph

Arrays = list[NDArray[np.generic]]


def random_inputs(model: ir.Model, seed: int = 0) -> Arrays:
    """One normally distributed array an input."""
    random = np.random.default_rng(seed)
    return [random.normal(0, 1, value.shape.numpy()).astype(np.float32) for value in model.graph.inputs]


def run_hub(model: ir.Model, inputs: Sequence[NDArray[np.generic]]) -> Arrays:
    """The hub's outputs, each node computed as it stands."""
    session = Session(model, optimise=False)
    return list(session.run(dict(zip(session.inputs, inputs, strict=True))).values())


def run_tflite(data: bytes, inputs: Sequence[NDArray[np.generic]], *, delegates: bool = True) -> Arrays:
    """The outputs of a ``.tflite`` file, real values; with XNNPACK or by LiteRT's own kernels."""
    return open_runner(data, "tflite", execution="deployed" if delegates else "plain").run(inputs)


def assert_export_agrees(model: ir.Model, tolerance: float = 1e-5) -> LoweredGraph:
    """Export a float model, and compare both executions in LiteRT with onnxruntime, relative to the outputs' range."""
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    data, graph = export_tflite(model, io="float", io_layout="source")
    for delegates in (True, False):
        for ours, theirs in zip(run_tflite(data, inputs, delegates=delegates), expected, strict=True):
            assert ours.shape == theirs.shape
            scale = max(float(np.ptp(theirs)), float(np.abs(theirs).max()), 1e-3)
            np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=tolerance)
    return graph


def kinds(graph: LoweredGraph) -> list[str]:
    """What the operators of a lowered graph are, in order."""
    return [operator.kind for operator in graph.operators]
