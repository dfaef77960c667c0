"""Choosing ranks: as much is saved as was asked for, where the outputs lose least by it."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.compress.low_rank.check import checked
from edgefleet_compiler.compress.low_rank.choose import RankChooser, choose_ranks
from edgefleet_compiler.compress.low_rank.factored import factored
from edgefleet_compiler.compress.low_rank.varied import Varied
from edgefleet_compiler.hub.graph import constant, products
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_contract.errors import RecipeUnfit
from support.onnx_graphs import OnnxGraph


def net():
    """Two alike layers of which the first has a low rank, and a convolution before them."""
    graph = OnnxGraph(seed=2)
    graph.input("x", 1, 3, 8, 8)
    attributes = {"strides": [2, 2], "dilations": [1, 1], "pads": [1, 1, 1, 1], "group": 1}
    image = graph.node("Relu", graph.conv("x", (3, 16), (3, 3), **attributes))
    flat = graph.reshape(image, 1, 256)
    matrix = graph.random.normal(size=(48, 4)) @ graph.random.normal(size=(4, 256)) / 32
    low = graph.node("Gemm", flat, graph.constant(matrix), graph.constant(np.zeros(48)), transB=1, name="low")
    high = graph.gemm(flat, 256, 48)
    return graph.model(graph.node("Add", low, high))


def cases(count=40):
    random = np.random.default_rng(4)
    return [{"x": random.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(count)]


@pytest.fixture(scope="module")
def chooser():
    return RankChooser(net(), cases())


def weights(model):
    return sum(constant(node.inputs[1]).size for node in model.graph if node.op_type in {"Conv", "Gemm"})


@pytest.mark.parametrize("ratio", [0.2, 0.45, 0.6])
@pytest.mark.parametrize("by", ["bytes", "macs"])
def test_what_is_chosen_saves_what_was_asked_for(chooser, ratio, by):
    model = net()
    chain = factored(model, chooser.choose(ratio, by), cases(), Silent())
    measure = weights if by == "bytes" else lambda one: products(one.graph)
    assert measure(chain) <= (1 - ratio) * measure(model)


def test_the_layer_that_loses_nothing_is_the_one_that_is_factored(chooser):
    low = next(node.name for node in net().graph if node.outputs[0].name == "low")
    assert list(chooser.choose(0.4)) == [low]


def test_more_is_lost_where_more_is_saved(chooser):
    model = net()
    reference = Reference(model, cases(12))
    noises = [
        reference.noise_of(factored(model, chooser.choose(ratio), cases(), Silent())) for ratio in (0.4, 0.6, 0.7)
    ]
    assert noises == sorted(noises)
    assert noises[0] < 1e-6 < noises[1]


def test_more_than_low_ranks_save_is_refused_with_the_most(chooser):
    assert chooser.choose(chooser.most() - 1e-9)
    with pytest.raises(RecipeUnfit, match=r"take away 0\.999 .* is the most") as refused:
        chooser.choose(0.999)
    assert chooser.choose(float(refused.value.expected.split()[-1]))


def test_every_option_costs_less_than_the_layer(chooser):
    for whole, *options in chooser.options.values():
        assert whole.factors is None
        assert all(option.cost.is_below(whole.cost) for option in options)
        assert options


def test_ranks_are_the_same_every_time(chooser):
    assert choose_ranks(net(), cases(), 0.5) == chooser.choose(0.5)


def test_every_option_is_one_that_a_recipe_may_ask_for():
    graph = OnnxGraph(seed=2)
    graph.input("x", 1, 1, 8, 8)
    attributes = {"strides": [1, 1], "dilations": [1, 1], "pads": [1, 1, 1, 1], "group": 1}
    model = graph.model(graph.conv("x", (1, 24), (3, 3), **attributes))
    random = np.random.default_rng(4)
    images = [{"x": random.normal(size=(1, 1, 8, 8)).astype(np.float32)} for _ in range(8)]
    for layer, (_, *options) in RankChooser(model, images).options.items():
        assert options
        for option in options:
            checked(model.graph, {layer: str(option.factors)})


def mixing():
    """A model whose operators mix what lies along the first axis."""
    graph = OnnxGraph(seed=2)
    graph.input("x", 1, 3, 4)
    return graph.model(graph.node("CumSum", "x", graph.constant(0, np.int64)))


@pytest.mark.parametrize("model", [net(), mixing()])
def test_many_values_at_once_give_what_each_gives_alone(model):
    name = model.graph.inputs[0].name
    values = np.random.default_rng(1).normal(size=(11, *model.graph.inputs[0].shape.numpy())).astype(np.float32)
    (found,) = Varied(model, name, values[:4], {}).run({}, values)
    session = Session(model)
    alone = np.stack([next(iter(session.run({name: value}).values())).reshape(-1) for value in values])
    np.testing.assert_allclose(found, alone, atol=1e-4)
