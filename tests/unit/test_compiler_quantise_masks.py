"""Masked attention in int8: the mask and its Softmax stay in float, the rest does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.placement import place
from edgefleet_contract.errors import DataMalformed
from support.exports import run_tflite
from support.onnx_graphs import OnnxGraph

MASKS = [-np.inf, float(np.finfo(np.float32).min), -1e9, -1e4]


def causal(value):
    return np.triu(np.full((8, 8), value), 1)


def attention(mask, mask_scores):
    """Attention with a causal mask, applied by a function of the graph, its scores and the mask."""
    graph = OnnxGraph(3)
    x = graph.input("x", 1, 8, 16)
    keys = graph.node("Transpose", graph.node("MatMul", x, graph.weights(16, 16), name="keys"), perm=[0, 2, 1])
    scores = graph.node("MatMul", graph.node("MatMul", x, graph.weights(16, 16), name="queries"), keys, name="scores")
    weights = graph.node("Softmax", mask_scores(graph, scores, mask), axis=-1, name="weights")
    values = graph.node("MatMul", x, graph.weights(16, 16), name="values")
    return graph, graph.node("MatMul", weights, values, name="mixed")


def added(graph, scores, mask):
    return graph.node("Add", scores, graph.constant(causal(mask)), name="masked")


def chosen(graph, scores, mask):
    return graph.node("Where", graph.constant(causal(1) == 0, np.bool_), scores, graph.constant(mask), name="masked")


def added_and_moved(graph, scores, mask):
    apart = graph.reshape(added(graph, scores, mask), 8, 8)
    return graph.reshape(graph.node("Mul", apart, graph.constant(0.25), name="scaled"), 1, 8, 8)


def rows(count, seed=0):
    random = np.random.default_rng(seed)
    return [{"x": random.normal(size=(1, 8, 16)).astype(np.float32)} for _ in range(count)]


def hub(graph, output):
    model = graph.model(output)
    simplify(model)
    return model


def in_int8(model):
    return {node.name.removeprefix("node_") for node in place(model.graph).nodes}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("mask_scores", [added, chosen, added_and_moved])
def test_a_mask_stays_in_float_up_to_its_softmax(mask_scores, mask):
    model = hub(*attention(mask, mask_scores))
    computed = in_int8(model)
    assert computed >= {"queries", "keys", "values", "scores", "mixed"}
    assert not computed & {"masked", "scaled", "weights"}


@pytest.mark.parametrize("mask", MASKS)
def test_all_that_int8_asks_a_range_for_is_finite_beside_a_mask(mask):
    found = calibrate(hub(*attention(mask, added)), rows(4), lambda _: None)
    assert {"queries", "scores", "values", "mixed"} <= set(found)
    assert "masked" not in found
    assert all(-100 < bound < 100 for each in found.values() for bound in (each.low, each.high))


def test_a_constant_as_large_as_scores_are_is_no_mask():
    assert in_int8(hub(*attention(-50.0, added))) >= {"masked", "weights"}


def test_a_large_constant_that_reaches_no_softmax_is_no_mask():
    graph = OnnxGraph()
    shifted = graph.node("Add", graph.input("x", 1, 16), graph.constant(np.full(16, -1e4)), name="shifted")
    assert in_int8(hub(graph, graph.gemm(shifted, 16, 4))) >= {"shifted"}


def test_what_follows_the_end_of_an_infinite_mask_has_a_range_of_its_own():
    graph = OnnxGraph(1)
    border = graph.constant(np.full((1, 3, 1, 6), -np.inf))
    joined = graph.node("Concat", border, graph.input("x", 1, 3, 5, 6), axis=2)
    pooled = graph.node("MaxPool", joined, kernel_shape=[2, 2], strides=[2, 2], name="pooled")
    model = hub(graph, graph.conv(pooled, (3, 4), (1, 1)))
    sample = {"x": np.random.default_rng(0).normal(size=(1, 3, 5, 6)).astype(np.float32)}
    found = calibrate(model, [sample], lambda _: None)
    assert "x" not in found
    assert found["pooled"].high == sample["x"].max()


def test_an_infinite_sum_that_is_clipped_again_stays_in_float():
    graph = OnnxGraph()
    masked = graph.node("Add", graph.input("x", 1, 8), graph.constant([-np.inf] + [0.0] * 7), name="masked")
    model = hub(graph, graph.gemm(graph.node("Relu", masked, name="positive"), 8, 4))
    found = calibrate(model, [{"x": np.arange(8, dtype=np.float32)[None]}], lambda _: None)
    assert not in_int8(model) & {"masked", "positive"}
    assert (found["positive"].low, found["positive"].high) == (0.0, 7.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_in_the_data_is_refused_beside_a_mask_too(bad):
    cases = rows(3)
    cases[1]["x"][0, 2, 3] = bad
    with pytest.raises(DataMalformed, match="Row 1 of the input 'x'"):
        calibrate(hub(*attention(-np.inf, added)), cases, lambda _: None)


def test_rows_that_are_masked_wholly_are_refused():
    """The Softmax of nothing is NaN, whatever the data."""
    model = hub(
        *attention(0.0, lambda graph, scores, _: graph.node("Add", scores, graph.constant(np.full((8, 8), -np.inf))))
    )
    with pytest.raises(DataMalformed, match=r"layer 'node_mixed' \(MatMul\) NaN or infinite"):
        calibrate(model, rows(1), lambda _: None)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_masked_attention_compiles_to_int8_that_agrees_with_onnxruntime(tmp_path: Path, kind: str, mask: float) -> None:
    graph, output = attention(mask, added)
    source = graph.proto(output)
    onnx.save(source, tmp_path / "model.onnx")
    np.savez(tmp_path / "c.npz", x=np.concatenate([row["x"] for row in rows(64)]))
    options = CompileOptions(
        tmp_path / "model.onnx",
        ("rpi4",),
        out=tmp_path / "out",
        calibration=tmp_path / "c.npz",
        recipe="int8",
        format=kind,
    )
    (outcome,) = compile_model(options, Silent())
    causes = {layer.name.removeprefix("node_"): layer.cause for layer in outcome.report.layers}
    assert causes["masked"] == causes["weights"] == "left in float: a mask leaves int8 no range"
    assert causes["scores"] is None
    artifact = (tmp_path / "out" / "rpi4" / f"model.{kind}").read_bytes()
    assert decibels(source.SerializeToString(), artifact, kind) > 28


def decibels(source: bytes, artifact: bytes, kind: str) -> float:
    """Signal to noise of an artifact against onnxruntime on its source, over rows that did not calibrate it."""
    reference, meter = onnxruntime.InferenceSession(source), SignalToNoise(8 * 16)
    for row in rows(32, seed=9):
        if kind == "tflite":
            (seen,) = run_tflite(artifact, [row["x"]])
        else:
            (seen,) = onnxruntime.InferenceSession(artifact).run(None, row)
        meter.add(reference.run(None, row)[0], seen)
    ratio = meter.decibels()
    assert ratio is not None
    return ratio
