from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_contract.errors import DataMalformed
from support.exports import run_hub
from support.onnx_graphs import OnnxGraph


def network():
    graph = OnnxGraph(5)
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (3, 3)), name="features")
    model = graph.model(graph.gemm(graph.reshape(value, 1, 64), 64, 5))
    simplify(model)
    return model


def samples(count, seed=0):
    random = np.random.default_rng(seed)
    return [{"x": random.normal(size=(1, 3, 6, 6)).astype(np.float32)} for _ in range(count)]


def ranges_of(model, cases):
    return {name: (found.low, found.high) for name, found in calibrate(model, cases, lambda _: None).items()}


def test_a_model_that_computes_nothing_has_no_ranges():
    graph = OnnxGraph()
    graph.input("x", 1, 3, 6, 6)
    assert ranges_of(graph.model(graph.node("Constant", value_floats=[1.0])), samples(1)) == {}


def test_ranges_are_the_extremes_over_all_samples_and_zero():
    model, cases = network(), samples(20)
    found = ranges_of(model, cases)
    inputs = np.stack([case["x"] for case in cases])
    outputs = np.stack([run_hub(model, [case["x"]])[0] for case in cases])
    assert found["x"] == (inputs.min(), inputs.max())
    low, high = found[model.graph.outputs[0].name]
    assert low == pytest.approx(min(outputs.min(), 0), rel=1e-6)
    assert high == pytest.approx(max(outputs.max(), 0), rel=1e-6)
    assert found["features"][0] == 0.0


def test_the_order_of_samples_does_not_matter():
    model, cases = network(), samples(12)
    assert ranges_of(model, cases) == ranges_of(model, cases[::-1])


def test_samples_stream_through():
    model = network()

    def endless():
        for seed in range(200):
            yield {"x": np.random.default_rng(seed).normal(size=(1, 3, 6, 6)).astype(np.float32)}

    told = []
    calibrate(model, samples(1), lambda _: None)
    tracemalloc.start()
    calibrate(model, endless(), told.append)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert told == list(range(1, 201))


def test_no_samples_are_refused():
    with pytest.raises(DataMalformed, match="no rows"):
        calibrate(network(), [], lambda _: None)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_input_that_is_not_finite_is_named_with_its_row(bad):
    cases = samples(3)
    cases[2]["x"][0, 1, 2, 3] = bad
    with pytest.raises(DataMalformed, match="Row 2 of the input 'x'"):
        calibrate(network(), cases, lambda _: None)


def test_a_layer_that_overflows_is_named():
    graph = OnnxGraph()
    weights = graph.constant(np.full((1, 1, 1, 1), 3e38))
    model = graph.model(graph.node("Conv", graph.input("x", 1, 1, 2, 2), weights, name="huge"))
    simplify(model)
    with pytest.raises(DataMalformed, match=r"layer 'node_huge' \(Conv\)"):
        calibrate(model, [{"x": np.full((1, 1, 2, 2), 1e10, np.float32)}], lambda _: None)


def test_the_model_is_not_changed():
    model = network()
    before = [value.name for value in model.graph.outputs]
    calibrate(model, samples(1), lambda _: None)
    assert [value.name for value in model.graph.outputs] == before


DEEP = """
import resource
import numpy as np
from support.onnx_graphs import OnnxGraph
from edgefleet_compiler.quantise.calibrate import calibrate

graph = OnnxGraph()
value = graph.input("x", 1, 8, 128, 128)
for _ in range(100):
    value = graph.node("Relu", graph.conv(value, (8, 8), (1, 1)))
model = graph.model(value)
calibrate(model, [{"x": np.ones((1, 8, 128, 128), np.float32)}], lambda _: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_activations_are_not_kept_until_the_end():
    """100 layers of half a megabyte and as much before each activation: kept, they would take 100 MB."""
    shallow, deep = (peak_of(DEEP.replace("range(100)", f"range({layers})")) for layers in (2, 100))
    assert deep - shallow < 30 * 1024


def peak_of(program):
    """Peak memory of a Python process, KiB."""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return int(ended.stdout)
