"""The emulator against TFLite Micro and LiteRT on the MLPerf Tiny models: what each gave, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.emulate.emulator import Emulator
from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.tflite.reader import read_tflite
from support.tflite_graphs import SHARED_MODELS

pytestmark = [pytest.mark.shared, pytest.mark.integration]
CASES = SHARED_MODELS.parent / "data" / "tflm-cases"
MODELS = {"AD": "ad01_int8", "IC": "pretrainedResnet_quant", "KWS": "kws_ref_model", "VWW": "vww_96_int8"}
OUTPUTS = {
    Dialect.TFLITE_MICRO: "batch_tflm_output",
    Dialect.LITERT: "batch_litert_output",
    Dialect.LITERT_REFERENCE: "batch_litert_ref_output",
}


@pytest.mark.parametrize("dialect", OUTPUTS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_integers_of_its_runtime(name: str, dialect: Dialect) -> None:
    """32 inputs that TFLite Micro ran on emulated Cortex-M boards, and LiteRT on the host."""
    graph = read_tflite((SHARED_MODELS / f"{MODELS[name]}.tflite").read_bytes())
    with np.load(CASES / f"{name}.npz") as cases:
        inputs, expected = cases["batch_input"], cases[OUTPUTS[dialect]]
    (entry,) = graph.inputs
    inputs = inputs.reshape(len(inputs), *graph.tensors[entry].shape)
    (seen,) = Emulator(graph, dialect).run({entry: inputs}).values()
    assert np.count_nonzero(seen.reshape(expected.shape) != expected) == 0
