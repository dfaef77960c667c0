from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.compress.channels.choose import ChannelChooser, choose_channels
from edgefleet_compiler.compress.channels.costs import cost_of
from edgefleet_compiler.compress.channels.groups import find_groups
from edgefleet_compiler.compress.channels.prune import prune
from edgefleet_compiler.compress.ratio import most_to_ask, share_of
from edgefleet_compiler.compress.settings import Pruning
from edgefleet_compiler.hub.graph import constant, products
from edgefleet_compiler.hub.session import serialise
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit
from support.exports import assert_export_agrees, run_hub
from support.onnx_graphs import OnnxGraph
from support.pruning import assert_shapes_are_true, cases_of, hub_of


def residual_net(seed=0):
    """Convolutions, a depthwise one, a residual Add and a head."""
    graph = OnnxGraph(seed)
    x = graph.input("x", 1, 3, 8, 8)
    first = graph.node("Relu", graph.conv(x, (3, 12), (3, 3), pads=[1, 1, 1, 1]))
    deep = graph.node("Relu", graph.conv(first, (12, 12), (3, 3), group=12, pads=[1, 1, 1, 1]))
    joined = graph.node("Add", first, graph.conv(deep, (12, 12), (1, 1)))
    last = graph.node("Relu", graph.conv(graph.node("Relu", joined), (12, 20), (3, 3)))
    pooled = graph.reshape(graph.node("GlobalAveragePool", last), 1, 20)
    return hub_of(graph, graph.gemm(pooled, 20, 4))


def names(model):
    return [group.name for group in find_groups(model.graph).groups if group.least < group.channels]


def noise(model, smaller):
    return Reference(model, cases_of(model, 60)[40:]).noise_of(smaller)


@pytest.mark.parametrize("saliency", ["second-order", "activation", "magnitude"])
def test_refitted_layers_are_nearer_to_what_was_than_others(saliency):
    model = residual_net()
    keep = dict.fromkeys(names(model), 9)
    refitted, other = (
        prune(model, Pruning(saliency=saliency, refit=refit, keep=keep), cases_of(model)) for refit in (True, False)
    )
    assert products(refitted.graph) == products(other.graph) < 0.7 * products(model.graph)
    assert noise(model, refitted) < 0.5 * noise(model, other)


def test_a_ranking_by_what_is_lost_does_better_than_one_by_weights():
    noises = {"second-order": 0.0, "magnitude": 0.0}
    for seed in range(3):
        model = residual_net(seed)
        for saliency in noises:
            pruning = Pruning(saliency=saliency, keep=dict.fromkeys(names(model), 8))
            noises[saliency] += noise(model, prune(model, pruning, cases_of(model)))
    assert noises["second-order"] < noises["magnitude"]


def test_a_pruned_hub_is_in_normal_form_and_leaves_as_it_computes():
    model = residual_net()
    smaller = prune(model, Pruning(keep=dict.fromkeys(names(model), 7)), cases_of(model))
    assert_shapes_are_true(smaller)
    assert_export_agrees(smaller)
    assert [(node.name, node.op_type) for node in smaller.graph] == [(node.name, node.op_type) for node in model.graph]


def test_all_channels_kept_is_the_very_model():
    model = residual_net()
    keep = {group.name: group.channels for group in find_groups(model.graph).groups}
    assert prune(model, Pruning(keep=keep), cases_of(model)) is model


def set_channels(model: ir.Model, name: str, channels: range, bias: float) -> None:
    """Let channels of a convolution give nothing but a constant."""
    node = next(node for node in model.graph if node.name == name)
    for index, value in ((1, 0.0), (2, bias)):
        tensor = node.inputs[index]
        array = np.array(constant(tensor))
        array[channels] = value
        tensor.const_value = ir.Tensor(array, name=tensor.name)


@pytest.mark.parametrize("bias", [0.0, -1.0, 2.5])
def test_channels_that_are_constant_go_first_and_cost_nothing(bias):
    model = residual_net()
    group = names(model)[1]
    set_channels(model, group, range(3, 15), bias)
    smaller = prune(model, Pruning(keep={group: 8}), cases_of(model))
    inputs = list(cases_of(model, 50)[-1].values())
    np.testing.assert_allclose(run_hub(smaller, inputs)[0], run_hub(model, inputs)[0], rtol=0, atol=1e-4)
    kept = next(node for node in smaller.graph if node.name == group).inputs[1]
    whole = next(node for node in model.graph if node.name == group).inputs[1]
    assert np.array_equal(constant(kept), np.delete(constant(whole), range(3, 15), axis=0))


def test_the_same_cases_give_the_same_bytes():
    model = residual_net()
    first, again = (
        serialise(prune(model, choose_channels(model, cases_of(model), 0.3), cases_of(model))) for _ in range(2)
    )
    assert first == again


_DIGEST = """
import hashlib
from edgefleet_compiler.compress.channels.choose import choose_channels
from edgefleet_compiler.compress.channels.prune import prune
from edgefleet_compiler.hub.session import serialise
from edgefleet_compiler.source import load_source
from pathlib import Path
import numpy as np

root = Path({root!r})
hub = load_source(root / "examples/digits/digits.onnx", input_shapes={{}}).hub
images = np.load(root / "examples/digits/calibration.npz")["x"][:60].astype(np.float32)
cases = [{{hub.graph.inputs[0].name: image.reshape(1, 8, 8, 1)}} for image in images]
print(hashlib.sha256(serialise(prune(hub, choose_channels(hub, cases, 0.3), cases))).hexdigest())
"""


def test_pruning_is_the_same_whatever_the_threads():
    root = Path(__file__).resolve().parents[2]
    digests = [
        subprocess.run(
            [sys.executable, "-c", _DIGEST.format(root=str(root))],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6])
def test_a_choice_saves_what_was_asked_for_and_hardly_more(ratio):
    model = residual_net()
    pruning = choose_channels(model, cases_of(model), ratio)
    saved = 1 - products(prune(model, pruning, cases_of(model)).graph) / products(model.graph)
    assert ratio <= saved < ratio + 0.12


def test_a_choice_by_bytes_saves_bytes():
    model = residual_net()
    chooser = ChannelChooser(model, cases_of(model))
    weights = cost_of(find_groups(model.graph), "bytes")
    everything = np.ones(200, np.bool_)
    assert weights(everything) == sum(
        constant(node.inputs[1]).size for node in model.graph if node.op_type in ("Conv", "Gemm")
    )
    by_bytes = prune(model, chooser.choose(0.4, "bytes"), cases_of(model))
    assert weights_of(by_bytes) <= 0.6 * weights_of(model)


def weights_of(model):
    return sum(constant(node.inputs[1]).size for node in model.graph if node.op_type in ("Conv", "Gemm"))


def test_a_choice_takes_what_nobody_misses():
    model = residual_net()
    group = names(model)[1]
    set_channels(model, group, range(12), 0.0)
    assert choose_channels(model, cases_of(model), 0.3).keep == {group: pytest.approx(12, abs=2)}


def test_a_choice_beats_the_same_share_of_every_group():
    model = residual_net()
    chosen = prune(model, choose_channels(model, cases_of(model), 0.4), cases_of(model))
    even = prune(model, Pruning(keep={names(model)[0]: 9, names(model)[1]: 16}), cases_of(model))
    assert products(chosen.graph) <= 1.05 * products(even.graph)
    assert noise(model, chosen) <= noise(model, even)


def test_layers_without_a_bias_make_up_by_their_weights_alone():
    graph = OnnxGraph(4)
    wide = graph.node("Relu", graph.node("MatMul", graph.input("x", 1, 9, 12), graph.weights(12, 16)))
    model = hub_of(graph, graph.node("MatMul", wide, graph.weights(16, 6)))
    pruning = choose_channels(model, cases_of(model), 0.3)
    assert pruning.keep == {names(model)[0]: 11}
    assert noise(model, prune(model, pruning, cases_of(model))) < 0.2


def test_more_than_there_is_to_prune_is_refused():
    with pytest.raises(
        RecipeUnfit, match=r"Pruning cannot take away 0\.999 .* cannot lose channels: they leave the model"
    ):
        choose_channels(residual_net(), cases_of(residual_net()), 0.999)


@pytest.mark.parametrize("by", ["macs", "bytes"])
def test_the_most_that_a_refusal_names_can_be_had(by):
    chooser = ChannelChooser(residual_net(), cases_of(residual_net(), 8))
    with pytest.raises(RecipeUnfit) as refused:
        chooser.choose(0.999, by)
    assert chooser.choose(float(refused.value.expected.split()[-1]), by).keep


def test_a_share_is_exact_in_the_digits_that_were_asked_for():
    assert all(share_of(most_to_ask(saved, 10), 10) == saved for saved in range(10))
    assert most_to_ask(9876, 10_000) == 0.987


def test_a_model_without_weights_has_nothing_to_prune():
    graph = OnnxGraph(0)
    model = hub_of(graph, graph.node("GlobalAveragePool", graph.node("Relu", graph.input("x", 1, 3, 4, 4))))
    with pytest.raises(RecipeUnfit, match="Nothing of the multiply-accumulates can be pruned: it has no conv"):
        choose_channels(model, cases_of(model), 0.3)


def test_a_model_whose_groups_are_all_held_says_why():
    graph = OnnxGraph(0)
    model = hub_of(graph, graph.node("Softmax", graph.gemm(graph.input("x", 1, 8), 8, 4)))
    with pytest.raises(RecipeUnfit, match=r"Nothing .* can be pruned: .* cannot lose channels: .* takes them all"):
        choose_channels(model, cases_of(model), 0.3)


def test_a_group_that_is_not_there_is_refused_with_those_that_are():
    model = residual_net()
    with pytest.raises(RecipeMalformed, match=rf"'node_conv_'.*'{names(model)[0]}'"):
        prune(model, Pruning(keep={"node_conv_": 3}), cases_of(model))


@pytest.mark.parametrize("count", [0, 13])
def test_more_channels_than_there_are_or_none_are_refused(count):
    model = residual_net()
    with pytest.raises(RecipeMalformed, match=rf"keeps {count} channels .* which has 12"):
        prune(model, Pruning(keep={names(model)[0]: count}), cases_of(model))


def test_a_group_that_must_stay_whole_is_refused_and_says_why():
    model = residual_net()
    last = find_groups(model.graph).groups[-1].name
    with pytest.raises(RecipeUnfit, match=r"cannot be pruned: they leave the model as its output.*Expected 4 of its"):
        prune(model, Pruning(keep={last: 3}), cases_of(model))
