"""Weights of a palette: levels with the least error, rounding to them, and their form in ONNX files."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import onnx
import onnxruntime
import pytest

from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exports import export
from edgefleet_compiler.hub.graph import OPSET, constant
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.dynamic import dynamic
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.palettes.levels import LARGEST, choose_levels, nearest_levels
from edgefleet_compiler.quantise.rounding.adaptive import adaptive
from edgefleet_compiler.quantise.rounding.quadratic import errors
from edgefleet_compiler.quantise.rounding.rounded import rounded
from edgefleet_compiler.quantise.rounding.second_order import second_order
from edgefleet_compiler.quantise.search.narrowing import Narrower
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.quantise.weight_only import weight_only
from edgefleet_compiler.recipe import Recipe
from support.exports import random_inputs, run_hub
from support.onnx_graphs import OnnxGraph
from support.searched_nets import cases_for, classifier

PALETTE = Settings(weights="palette4")


@pytest.fixture(scope="module")
def hub():
    """Two convolutions and a fully connected layer, all large enough for a palette."""
    graph = OnnxGraph()
    level = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 10, 10), (3, 12), (3, 3)))
    level = graph.node("Relu", graph.conv(level, (12, 16), (3, 3)))
    pooled = graph.reshape(graph.node("GlobalAveragePool", level), 1, 16)
    model = graph.model(graph.gemm(pooled, 16, 20))
    simplify(model)
    return model


def quantised(hub, settings=PALETTE):
    return quantise(hub, calibrate(hub, cases_for(hub, 8), lambda _: None), settings)


def stored_weights(model):
    """What DequantizeLinear nodes widen for layers, by the name of the layer."""
    return {
        node.name: constant(node.inputs[1].producer().inputs[0])
        for node in model.graph
        if node.op_type in ("Conv", "Gemm", "MatMul")
    }


def spread_within(positions, importance):
    mean = (importance * positions).sum() / importance.sum()
    return float((importance * (positions - mean) ** 2).sum())


def test_levels_have_the_least_error_of_all_ways_to_part_the_weights_in_three() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        positions, importance = np.sort(random.choice(np.arange(-60, 61), 12, replace=False) + 0.25), random.random(12)
        levels = choose_levels(positions, importance, 3)
        cuts = ((0, first, second, 12) for first, second in combinations(range(1, 12), 2))
        best = min(
            sum(spread_within(positions[low:high], importance[low:high]) for low, high in pairwise(cut)) for cut in cuts
        )
        found = float((importance * (positions - nearest_levels(positions, levels)) ** 2).sum())
        assert found <= best + 0.25 * importance.sum()  # the means become integers


def test_no_more_levels_than_weights_differ_are_chosen() -> None:
    assert choose_levels(np.array([3.0, -5.0, 3.0]), np.ones(3), 16).tolist() == [-5.0, 3.0]


def test_a_weight_of_zero_stays_zero() -> None:
    random = np.random.default_rng(1)
    positions = random.normal(size=500) * 20 + 7
    positions[::50] = 0
    levels = choose_levels(positions, np.ones(500), 16)
    assert not nearest_levels(positions, levels)[::50].any()


def test_levels_lie_where_two_neighbours_fit_sixteen_bits() -> None:
    levels = choose_levels(np.random.default_rng(2).normal(size=400) * 90, np.ones(400), 16)
    assert np.abs(levels).max() <= LARGEST
    assert len(levels) <= 16


def test_rounding_gives_levels_and_no_channel_a_larger_error() -> None:
    random = np.random.default_rng(3)
    inputs = random.normal(size=(200, 12)) @ random.normal(size=(12, 12))
    gram, weights = (inputs.T @ inputs / 200)[None], random.normal(size=(1, 6, 12))
    scales = np.abs(weights).max(axis=2, keepdims=True) / LARGEST
    levels = choose_levels(weights / scales, np.ones_like(weights), 8)
    nearest = nearest_levels(weights / scales, levels)
    second = second_order(weights, gram, scales, LARGEST, levels=levels)
    moved = adaptive(weights, gram, scales, LARGEST, levels=levels)
    assert set(second.ravel()) | set(moved.ravel()) <= set(levels)
    plain, better, best = (errors(weights - each * scales, gram) for each in (nearest, second, moved))
    assert (better <= plain).all()
    assert (best <= better + 1e-12).all()
    assert best.sum() < 0.8 * plain.sum()


def test_every_layer_has_sixteen_integers_but_those_too_small(hub) -> None:
    assert all(len(np.unique(array)) <= 16 for array in stored_weights(quantised(hub)).values())
    few = stored_weights(quantised(classifier()))
    assert max(np.abs(array).max() for array in few.values() if array.size < 256) == 127


def test_the_file_holds_numbers_of_levels_and_onnxruntime_computes_in_integers(hub, tmp_path) -> None:
    model, feeds = quantised(hub), cases_for(hub, 1, seed=99)[0]
    plain = export_onnx(model, max_opset=OPSET, io="float", io_layout="source")
    data = export_onnx(model, max_opset=OPSET, io="float", io_layout="source", palettes=True)
    weights = sum(array.size for array in stored_weights(model).values())
    assert len(plain) - len(data) > 0.3 * weights
    kinds = []
    outputs = []
    for content in (plain, data):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(content, options)
        kinds.append(sorted(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node))
        outputs.append(session.run(None, feeds)[0])
    assert kinds[0] == kinds[1]
    assert kinds[0].count("QLinearConv") == 2
    np.testing.assert_array_equal(*outputs)


def exported(hub, settings):
    recipe = Recipe(scheme="int8", format="onnx", io="float", io_layout="source", seed=0, quantise=settings)
    return export(quantised(hub, settings), recipe, max_opset=OPSET)


def test_a_choice_of_layers_saves_the_bytes_that_were_asked_for(hub) -> None:
    narrower = Narrower(
        hub, lambda settings: quantised(hub, settings), Settings(), cases_for(hub, 8), narrow="palette4"
    )
    plain = exported(hub, Settings()).weights_bytes
    for saved in (100, narrower.most):
        layers = narrower.layers(saved)
        assert layers is not None
        assert plain - exported(hub, Settings(layers=layers)).weights_bytes >= saved
    assert narrower.layers(narrower.most + 1) is None


def test_the_report_counts_half_a_byte_a_weight_and_asks_for_a_runtime_that_has_them(hub) -> None:
    plain, narrow = exported(hub, Settings()), exported(hub, PALETTE)
    sizes = [array.size for array in stored_weights(quantised(hub)).values()]
    assert narrow.four_bits
    assert plain.weights_bytes - narrow.weights_bytes == sum(size - (size + 1) // 2 - 16 for size in sizes)


@pytest.mark.parametrize("make", [weight_only, lambda hub, settings: dynamic(hub, settings, "onnx")])
def test_weights_alone_can_be_of_a_palette(hub, make) -> None:
    model, feeds = make(hub, PALETTE), random_inputs(hub, 5)
    data = export_onnx(model, max_opset=OPSET, io="float", io_layout="source", palettes=True)
    session = onnxruntime.InferenceSession(data)
    np.testing.assert_allclose(session.run(None, {"x": feeds[0]})[0], run_hub(model, feeds)[0], rtol=1e-4, atol=1e-5)
    assert {tensor.data_type for tensor in onnx.load_from_string(data).graph.initializer} >= {onnx.TensorProto.UINT4}


def test_a_palette_makes_less_noise_than_four_plain_bits(hub) -> None:
    cases = cases_for(hub, 16)
    reference, names = Reference(hub, cases), [node.name for node in hub.graph]
    noises = []
    for settings in (PALETTE, Settings(weights="int4")):
        palettes = settings.palettes_among(names)
        model = rounded(hub, quantised(hub, settings), cases, "second-order", palettes=palettes)
        noises.append(reference.noise_of(model))
    assert noises[0] < 0.9 * noises[1]


def test_single_layers_can_have_palettes(hub) -> None:
    name = next(node.name for node in hub.graph if node.op_type == "Gemm")
    settings = Settings(layers={name: LayerSettings(weights="palette4")})
    counts = {key: len(np.unique(array)) for key, array in stored_weights(quantised(hub, settings)).items()}
    assert settings.has_palettes
    assert [key for key, count in counts.items() if count <= 16] == [name]
