"""The rounding step: what it changes of a quantised hub, what it leaves, and that its bytes never differ."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.session import Session, serialise
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.rounding.rounded import rounded
from edgefleet_compiler.quantise.saturation import multiplies_pairs, pairs_fit
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.quantise.weight_only import weight_only
from support.onnx_graphs import OnnxGraph


def images(count, seed, channels=3):
    """Smooth ones: neighbours are alike, as in photographs."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(count, 1, channels, 4, 4)).repeat(3, axis=3).repeat(3, axis=4)
    return [{"x": (image + random.normal(size=image.shape) / 5).astype(np.float32)} for image in coarse]


def network():
    graph = OnnxGraph(seed=5)
    name = graph.input("x", 1, 3, 12, 12)
    name = graph.node("Relu", graph.conv(name, (3, 8), (3, 3)))
    name = graph.node("Relu", graph.conv(name, (8, 8), (3, 3), group=8))
    name = graph.node("Relu", graph.conv(name, (8, 16), (1, 1)))
    name = graph.node("GlobalAveragePool", name)
    name = graph.gemm(graph.reshape(name, 1, 16), 16, 5)
    model = graph.model(name)
    simplify(model)
    return model


def hubs(**settings):
    model = network()
    return model, quantise(model, calibrate(model, images(20, 0), lambda _: None), Settings(**settings))


def noise(model, reference, cases):
    (output,) = Session(reference).outputs
    return sum(
        float(np.square(Session(model, optimise=False).run(case)[output] - Session(reference).run(case)[output]).sum())
        for case in cases
    )


@pytest.mark.parametrize("method", ["second-order", "adaptive"])
@pytest.mark.parametrize("scales", ["per-channel", "per-tensor"])
def test_outputs_keep_closer_to_the_float_model_and_nothing_but_weights_changes(method, scales):
    model, plain = hubs(convolutions=scales, fully_connected=scales)
    before, done = serialise(plain), []
    result = rounded(model, plain, images(64, 1), method, on_progress=lambda count, total: done.append((count, total)))
    assert serialise(plain) == before
    assert done[-1][0] == done[-1][1]
    changed = set()
    for name, value in plain.graph.initializers.items():
        other = constant(result.graph.initializers[name])
        assert other.dtype == constant(value).dtype
        if not np.array_equal(other, constant(value)):
            changed.add(name)
            assert np.abs(other.astype(np.int32) - constant(value).astype(np.int32)).max() <= 8
            assert np.abs(other.astype(np.int32)).max() <= 127
    weights = {node.inputs[1].producer().inputs[0].name for node in plain.graph if node.op_type in {"Conv", "Gemm"}}
    assert changed == weights
    assert noise(result, model, images(30, 2)) < noise(plain, model, images(30, 2))


@pytest.mark.parametrize("method", ["second-order", "adaptive"])
def test_weights_of_four_bits_behind_float_activations_lose_far_less(method):
    model = network()
    plain = weight_only(model, Settings(weights="int4"))
    result = rounded(model, plain, images(64, 1), method)
    assert noise(result, model, images(30, 2)) < 0.6 * noise(plain, model, images(30, 2))


@pytest.mark.parametrize("method", ["second-order", "adaptive"])
def test_neighbouring_weights_stay_within_16_bits_where_the_target_asks_for_it(method):
    model, plain = hubs(narrow_pairs=True)
    free, narrow = (rounded(model, plain, images(64, 1), method, narrow_pairs=given) for given in (False, True))

    def fit(hub):
        layers = [node for node in hub.graph if node.op_type in {"Conv", "Gemm"} and multiplies_pairs(node)]
        return [pairs_fit(constant(node.inputs[1].producer().inputs[0]), node.op_type).all() for node in layers]

    assert not all(fit(free))
    assert all(fit(narrow))
    assert len(fit(narrow)) == 3
    assert noise(narrow, model, images(30, 2)) < noise(plain, model, images(30, 2))


def test_weights_that_two_layers_share_are_left_as_they_are():
    graph = OnnxGraph(seed=6)
    x, weights = graph.input("x", 1, 3, 12, 12), graph.weights(4, 3, 3, 3)
    name = graph.node("Add", graph.node("Conv", x, weights), graph.node("Conv", graph.node("Neg", x), weights))
    model = graph.model(name)
    simplify(model)
    plain = quantise(model, calibrate(model, images(5, 0), lambda _: None), Settings())
    shared = [value for value in plain.graph.initializers.values() if len(value.uses()) > 1 and value.shape]
    result = rounded(model, plain, images(5, 0), "second-order")
    for value in shared:
        np.testing.assert_array_equal(constant(result.graph.initializers[value.name]), constant(value))


DIGEST = """
import hashlib, sys
sys.path[:0] = {paths!r}
import importlib.util
spec = importlib.util.spec_from_file_location("cases", {file!r})
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
model, plain = cases.hubs()
print(hashlib.sha256(cases.serialise(cases.rounded(model, plain, cases.images(64, 1), {method!r}))).hexdigest())
"""


@pytest.mark.parametrize("method", ["second-order", "adaptive"])
def test_the_same_bytes_come_out_on_one_thread_and_on_many(method):
    code = DIGEST.format(paths=sys.path, file=__file__, method=method)
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(digests) == 1
