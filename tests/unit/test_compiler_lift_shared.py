"""Published TFLite models in the hub: onnxruntime computes what LiteRT does."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from ai_edge_litert.interpreter import OpResolverType
from numpy.typing import NDArray

from edgefleet_compiler.checks.parity import argmax_agrees
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.hub.graph import constant, name_of, shape_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lift import lift
from edgefleet_compiler.lift.float_graph import float_graph
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import (
    SHARED_FLOAT,
    SHARED_INT8,
    SHARED_MODELS,
    assert_close,
    random_inputs,
    run_litert,
    run_onnx,
)

pytestmark = pytest.mark.shared


@pytest.mark.parametrize("name", SHARED_FLOAT)
def test_the_hub_of_a_published_model_computes_what_litert_does(name: str) -> None:
    graph = read_tflite((SHARED_MODELS / f"{name}.tflite").read_bytes())
    model = lift(graph)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    # A hybrid model's kernels round activations as they go; the hub is to equal the model on its dequantised weights.
    data = write_tflite(float_graph(graph))
    for resolver in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
        for seed in range(5):
            inputs = random_inputs(graph, seed)
            assert_close(run_onnx(model, inputs), run_litert(data, inputs, resolver), tolerance=1e-5)


@pytest.mark.parametrize("name", [*SHARED_INT8, "keyword_scrambled"])
def test_the_hub_of_a_published_int8_model_carries_its_scales_and_few_transposes(name: str) -> None:
    graph = read_tflite((SHARED_MODELS / f"{name}.tflite").read_bytes())
    model = lift(graph)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    simplify(model)
    assert sum(node.op_type == "Transpose" for node in model.graph) <= 1  # at the input
    scales = {input_number(node, 1) for node in model.graph if node.op_type == "QuantizeLinear"}
    given = [tensor.quantisation for tensor in graph.tensors.values() if not tensor.is_constant]
    assert scales <= {float(each.scale[0]) for each in given if each is not None}


@pytest.mark.parametrize("name", [*SHARED_INT8, "keyword_scrambled"])
def test_the_hub_of_a_published_int8_model_computes_what_litert_does_but_for_rounding(name: str) -> None:
    data = (SHARED_MODELS / f"{name}.tflite").read_bytes()
    model = lift(read_tflite(data))
    simplify(model)
    runner, session, random = open_runner(data, "tflite", execution="plain"), Session(model), np.random.default_rng(0)
    rest = {name_of(value): np.zeros(shape_of(value), np.float32) for value in model.graph.inputs}
    agreements, worst = 0, 0.0
    for _ in range(20):
        (given,) = (tensor.load(_random_integers(tensor, random)) for tensor in runner.inputs)
        expected, seen = runner.run([given])[0], next(iter(session.run({**rest, session.inputs[0]: given}).values()))
        agreements += argmax_agrees(expected, seen)
        worst = max(worst, float(np.abs(expected - seen).mean() / np.abs(expected).max()))
    assert agreements >= 18
    assert worst < 0.1


def input_number(node: ir.Node, index: int) -> float:
    array = constant(node.inputs[index])
    assert array is not None
    return float(array)


def _random_integers(tensor: TensorInfo, random: np.random.Generator) -> NDArray[np.generic]:
    limits = np.iinfo(tensor.dtype)  # type: ignore[type-var]  # the inputs of these models are integers
    return random.integers(limits.min, limits.max, tensor.shape, endpoint=True).astype(tensor.dtype)
