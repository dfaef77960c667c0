"""Running a hub model and its exports side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.graph import OPSET
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.passes import simplify

Arrays = list[NDArray[np.generic]]


def random_inputs(model: ir.Model, seed: int = 0) -> Arrays:
    """One normally distributed array an input; integers from -3 to 3, and either truth, where it takes such."""
    random = np.random.default_rng(seed)
    return [_random(random, value.shape.numpy(), value.dtype) for value in model.graph.inputs]


def _random(random: np.random.Generator, shape: tuple[int, ...], dtype: ir.DataType) -> NDArray[np.generic]:
    numbers = np.asarray(random.normal(0, 1, shape))
    if dtype == ir.DataType.BOOL:
        return np.asarray(numbers > 0)
    return np.asarray(numbers if dtype == ir.DataType.FLOAT else np.rint(numbers).clip(-3, 3), dtype.numpy())


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


def assert_compiles(model: ir.Model, tolerance: float = 1e-5) -> LoweredGraph:
    """Bring a raw hub to normal form, export it as ONNX and as TFLite, and compare both with the raw hub."""
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    simplify(model)
    onnx_file = export_onnx(model, max_opset=OPSET, io="float", io_layout="source")
    tflite_file, graph = export_tflite(model, io="float", io_layout="source")
    for results in (
        open_runner(onnx_file, "onnx").run(inputs),
        run_tflite(tflite_file, inputs),
        run_tflite(tflite_file, inputs, delegates=False),
    ):
        for ours, theirs in zip(results, expected, strict=True):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            if theirs.dtype == np.float32:
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(np.abs(theirs).max(), 1e-3))
            else:
                np.testing.assert_array_equal(ours, theirs)
    return graph


def kinds(graph: LoweredGraph) -> list[str]:
    """What the operators of a lowered graph are, in order."""
    return [operator.kind for operator in graph.operators]
