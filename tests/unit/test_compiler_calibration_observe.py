"""What one pass of a calibration set notes of activations."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibration.cases import Extremes
from edgefleet_compiler.quantise.calibration.histogram import SIDE, GrowingHistogram
from edgefleet_compiler.quantise.calibration.observe import HISTOGRAM_CASES, Observations, observe
from edgefleet_compiler.quantise.calibration.sufficiency import warn_of_few
from edgefleet_compiler.quantise.calibration.watch import ELEMENTS
from support.exports import run_hub
from support.onnx_graphs import OnnxGraph


def network() -> ir.Model:
    graph = OnnxGraph(5)
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)), name="features")
    model = graph.model(graph.gemm(graph.reshape(value, 1, 64), 64, 5))
    simplify(model)
    return model


def cases(count: int, seed: int = 0) -> list[dict[str, NDArray[Any]]]:
    random = np.random.default_rng(seed)
    return [{"x": random.normal(size=(1, 3, 6, 6)).astype(np.float32)} for _ in range(count)]


def seen(model: ir.Model, samples: list[dict[str, NDArray[Any]]], **options: Any) -> Observations:
    return observe(model, samples, lambda _: None, **options)


def test_channels_have_ranges_of_their_own() -> None:
    model, samples = network(), cases(15)
    found = seen(model, samples).activations
    inputs = np.concatenate([case["x"] for case in samples])
    np.testing.assert_array_equal(found["x"].channel_lows, inputs.min(axis=(0, 2, 3)))
    np.testing.assert_array_equal(found["x"].channel_highs, inputs.max(axis=(0, 2, 3)))
    name = model.graph.outputs[0].name
    assert name is not None
    outputs = np.concatenate([run_hub(model, [case["x"]])[0] for case in samples])
    np.testing.assert_allclose(found[name].channel_highs, outputs.max(axis=0), rtol=1e-5)
    assert next(iter(found)) == "x"


@pytest.mark.parametrize("shape", [(), (7,), (2, 7), (1, 4, 7), (2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_values_of_any_rank_are_observed(shape: tuple[int, ...]) -> None:
    graph = OnnxGraph()
    model = graph.model(graph.node("Add", graph.input("x", *shape), graph.constant(np.ones(shape)), name="sum"))
    value = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = seen(model, [{"x": value}]).activations["x"]
    assert (found.low, found.high) == (min(value.min(), 0), max(value.max(), 0))
    assert found.histogram is not None
    assert found.histogram.total == value.size


def test_a_rare_case_shows_beside_the_others() -> None:
    samples = cases(21)
    reaches = sorted(float(np.abs(case["x"]).max()) for case in samples)
    samples[4]["x"][0, 1, 2, 3] = 50.0
    found = seen(network(), samples).activations["x"]
    assert found.reach == 50
    assert found.second_reach in reaches[-2:]
    assert found.median_reach == pytest.approx(reaches[10], rel=0.1)


def test_medians_of_long_streams_come_of_evenly_spread_cases() -> None:
    model = network()
    stream = ({"x": np.full((1, 3, 6, 6), index / 3000, np.float32)} for index in range(3000))
    found = observe(model, stream, lambda _: None, histograms=False).activations["x"]
    assert found.median_reach == pytest.approx(0.5, abs=0.01)
    assert found.reach == pytest.approx(1, abs=1e-3)


def test_histograms_do_not_depend_on_the_order_of_cases() -> None:
    model, samples = network(), [{"x": case["x"] * (1 + index)} for index, case in enumerate(cases(12))]
    forth, back = seen(model, samples).activations, seen(model, samples[::-1]).activations
    for name, found in forth.items():
        first, second = found.histogram, back[name].histogram
        assert first is not None
        assert second is not None
        assert (first.width, first.first, first.zeros) == (second.width, second.first, second.zeros)
        np.testing.assert_array_equal(first.counts, second.counts)


def test_counts_are_those_of_the_final_bins() -> None:
    random, growing = np.random.default_rng(0), GrowingHistogram()
    parts = [(random.normal(size=500) * 10.0**power).astype(np.float32) for power in (-3, 2, 0)]
    parts[1][:7] = 0
    for part in parts:
        growing.add(part, float(np.abs(part).max()))
    found, values = growing.result(), np.concatenate(parts)
    wanted, _ = np.histogram(values[values != 0], found.edges)
    assert found.zeros == 7
    assert found.width == 2.0 ** np.floor(np.log2(np.abs(values).max())) / (SIDE / 2)
    assert 0.0 in found.edges
    np.testing.assert_array_equal(found.counts, wanted)


@pytest.mark.parametrize("magnitude", [1e-45, 1e-38, 1.0, 3.4e38])
def test_any_float_finds_a_bin(magnitude: float) -> None:
    growing = GrowingHistogram()
    values = np.array([-magnitude, 0, magnitude, magnitude / 2], np.float32)
    growing.add(values, float(np.abs(values).max()))
    assert growing.result().total == 4


def test_of_many_cases_evenly_spread_ones_make_the_histograms() -> None:
    samples = cases(3) * 200
    found = seen(network(), samples, count=600).activations["x"].histogram
    assert found is not None
    assert found.total == 200 * 108
    assert HISTOGRAM_CASES >= 200


def test_of_large_activations_evenly_spread_elements_make_the_histograms() -> None:
    ramp = np.linspace(-1, 1, 4 * 256 * 256, dtype=np.float32).reshape(1, 4, 256, 256)
    graph = OnnxGraph()
    model = graph.model(graph.conv(graph.input("x", 1, 4, 256, 256), (4, 2), (1, 1)))
    found = seen(model, [{"x": ramp}]).activations["x"]
    assert found.histogram is not None
    assert ELEMENTS / 2 < found.histogram.total <= ELEMENTS
    inner = found.histogram.counts[1:-1]  # of a ramp, all bins have alike
    assert inner.max() - inner.min() <= 1


def test_memory_does_not_grow_with_the_cases() -> None:
    model = network()

    def stream(count: int) -> Any:
        return (
            {"x": np.random.default_rng(seed).normal(size=(1, 3, 6, 6)).astype(np.float32)} for seed in range(count)
        )

    peaks = []
    observe(model, stream(2), lambda _: None)
    for count in (20, 400):
        tracemalloc.start()
        observe(model, stream(count), lambda _: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**18


def test_without_histograms_there_are_none() -> None:
    found = seen(network(), cases(2), histograms=False)
    assert not found.has_histograms
    assert seen(network(), cases(2)).has_histograms


@pytest.mark.parametrize(("count", "told"), [(4, True), (10, True), (400, False)])
def test_few_cases_are_told_by_what_each_adds(count: int, told: bool) -> None:
    warnings = warn_of_few(seen(network(), cases(count), histograms=False))
    assert bool(warnings) is told
    assert all(f"of {count} cases alone widen" in warning for warning in warnings)


def test_of_a_single_case_no_chance_is_told() -> None:
    (warning,) = warn_of_few(seen(network(), cases(1), histograms=False))
    assert "a single case shows nothing" in warning
    assert "%" not in warning


def test_the_chance_that_is_told_is_that_of_new_cases() -> None:
    """Ranges of 30 cases, judged by 200 others: leaving one out foretells how many leave them."""
    random, foretold, happened = np.random.default_rng(0), [], []
    for _ in range(300):
        drawn = random.exponential(size=(230, 2, 6)).astype(np.float32)
        known, new = drawn[:30], drawn[30:]
        extremes = Extremes(np.arange(6))
        for low, high in known:
            extremes.add(-low, high)
        ends = known.max(axis=0)
        foretold.append(extremes.leading() / 30)
        happened.append((new > ends + 0.05 * ends.sum(axis=0)).any(axis=(1, 2)).mean())
    assert np.mean(foretold) == pytest.approx(float(np.mean(happened)), rel=0.1)
