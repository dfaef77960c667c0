"""Published float TFLite models in the hub: onnxruntime computes what LiteRT does."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from ai_edge_litert.interpreter import OpResolverType

from edgefleet_compiler.lift import lift
from edgefleet_compiler.lift.float_graph import float_graph
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import OperatorUnsupported
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


@pytest.mark.parametrize("name", SHARED_INT8)
def test_a_published_int8_model_is_refused_as_quantised(name: str) -> None:
    with pytest.raises(OperatorUnsupported, match="quantised already"):
        lift(read_tflite((SHARED_MODELS / f"{name}.tflite").read_bytes()))
