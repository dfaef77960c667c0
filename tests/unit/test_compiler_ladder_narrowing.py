"""The dial of 4-bit weights: what they are in each format, and that a milder setting saves less."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_compiler.data.evaluation import random_set
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.ladder.costs import Reckoner
from edgefleet_compiler.ladder.dials import Ground
from edgefleet_compiler.ladder.narrowing import narrowing
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import load_source
from edgefleet_hardware.profile import load_profile
from support.onnx_graphs import OnnxGraph


def ground_on(target: str, folder: Path) -> Ground:
    """Of a small net: a convolution of 288 weights, and a fully connected layer of 1,152."""
    graph = OnnxGraph(5)
    level = graph.node("Relu", graph.conv(graph.input("image", 1, 4, 8, 8), (4, 8), (3, 3), strides=[2, 2]))
    logits = graph.gemm(graph.reshape(level, 1, 72), 72, 16)
    (folder / "model.onnx").write_bytes(graph.proto(logits).SerializeToString())
    source = load_source(folder / "model.onnx", input_shapes={})
    hubs = HubMaker(source, random_set(source.inputs, 0, cases=24), Silent())
    return Ground(hubs, hubs.typical[::2], Reckoner(source), load_profile(target), Silent())


def recipe_of(form: str, scheme: str = "int8", **settings: object) -> Recipe:
    quantise = None if scheme == "float" else Settings(**settings)
    return Recipe(scheme=scheme, format=form, io="float", io_layout="source", seed=0, quantise=quantise)


@pytest.mark.parametrize(("form", "target", "kind"), [("tflite", "rpi4", "int4"), ("onnx", "x86-64", "palette4")])
def test_narrow_weights_are_a_palette_where_the_format_has_one_and_a_milder_dial_saves_less(
    form: str, target: str, kind: str, tmp_path: Path
) -> None:
    ground = ground_on(target, tmp_path)
    dial = narrowing(recipe_of(form), ground, ["flash"])
    assert dial is not None
    settings = [dial(mildness) for mildness in (1.0, 0.5, 0.0)]
    counts = [[said.weights for said in each.recipe.settings.layers.values()].count(kind) for each in settings]
    assert counts == [0, 1, 2]
    assert [each.told for each in settings] == [f"4-bit weights {count}/2" for count in counts]
    sizes = [ground.reckoner.cost(each.recipe, ground.profile).flash for each in settings]
    assert sizes[0] > sizes[1] > sizes[2]


def test_layers_of_16_bit_activations_keep_their_weights_and_float_models_have_none_to_narrow(tmp_path: Path) -> None:
    ground = ground_on("rpi4", tmp_path)
    hub = ground.hubs.base(recipe_of("tflite"))
    wide = {node.name: LayerSettings(compute="int16") for node in hub.graph if node.op_type == "Conv"}
    dial = narrowing(recipe_of("tflite", layers=wide), ground, ["flash"])
    assert dial is not None
    layers = dial(0.0).recipe.settings.layers
    assert {name: layers[name] for name in wide} == wide
    assert [said.weights for said in layers.values()].count("int4") == 1
    assert narrowing(recipe_of("tflite", "float"), ground, ["flash"]) is None
