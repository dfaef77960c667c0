"""Lifting judged by the runtimes: onnxruntime must compute of the hub what LiteRT computes of the file."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import Array, assert_close, random_inputs, run_litert, run_onnx


def assert_lifts(graph: LoweredGraph, tolerance: float = 1e-5, *, positive: bool = False) -> ir.Model:
    """Lift the file that the graph becomes; ONNX's checker and both runtimes have to be content.

    Roots and logarithms want ``positive`` inputs.
    """
    data = write_tflite(graph)
    model = import_tflite(data)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    for seed in range(3):
        inputs = [_positive(array) if positive else array for array in random_inputs(graph, seed)]
        assert_close(run_onnx(model, inputs), run_litert(data, inputs), tolerance)
    return model


def _positive(array: Array) -> Array:
    return abs(array) + 0.1
