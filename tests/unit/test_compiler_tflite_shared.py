"""Published TFLite models through reader and writer: the same outputs bit for bit, from smaller files."""

from __future__ import annotations

import pytest
from ai_edge_litert.interpreter import OpResolverType

from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import SHARED_FLOAT, SHARED_INT8, SHARED_MODELS, random_inputs, run_litert

pytestmark = pytest.mark.shared


@pytest.mark.parametrize("name", SHARED_INT8 + SHARED_FLOAT)
def test_a_published_model_keeps_its_outputs_bit_for_bit_and_shrinks(name: str) -> None:
    before = (SHARED_MODELS / f"{name}.tflite").read_bytes()
    graph = read_tflite(before)
    after = write_tflite(graph)
    assert len(after) < len(before)
    for resolver in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
        for seed in range(5):
            inputs = random_inputs(graph, seed)
            for ours, theirs in zip(
                run_litert(after, inputs, resolver), run_litert(before, inputs, resolver), strict=True
            ):
                assert ours.tobytes() == theirs.tobytes()
    assert write_tflite(read_tflite(after)) == after


def test_image_classification_comes_near_its_weights() -> None:
    data = (SHARED_MODELS / "pretrainedResnet_quant.tflite").read_bytes()
    assert len(data) == 98_496
    assert len(write_tflite(read_tflite(data))) <= 86_080


def test_states_are_tensors_that_keep_their_value() -> None:
    graph = read_tflite((SHARED_MODELS / "keyword_scrambled.tflite").read_bytes())
    assert len(graph.states) == 7
    assert all(graph.tensors[name].data is None for name in graph.states)
