"""Sensitivity: what each layer does to the outputs, weights and output apart, alone and left out."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.quantise.search.sensitivity import measure_sensitivity
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from support.onnx_graphs import OnnxGraph
from support.searched_nets import Searched, classifier, whole


def sensitivity(model, settings=None, **options):
    net = Searched(model, settings)
    return measure_sensitivity(net.model, net.quantised, net.reference, **options)


def chain(spoilt=None):
    """Three layers; the weights of one of them can be made hard to round, by one that is 200 times as large."""
    graph = OnnxGraph(3)
    level = graph.input("x", 1, 8)
    for index in range(3):
        weights = graph.random.normal(0, 0.35, (8, 8))
        if index == spoilt:
            weights[0, 0] *= 200
        level = graph.node("Gemm", level, graph.constant(weights), graph.constant(np.zeros(8)), transB=1)
        level = graph.node("Relu", level) if index < 2 else level
    return graph.model(level)


@pytest.mark.parametrize("spoilt", [0, 1, 2])
def test_the_layer_whose_weights_are_hard_to_round_comes_first(spoilt):
    found = sensitivity(chain(spoilt), Settings(fully_connected="per-tensor"))
    worst = found.worst()[0]
    assert worst is found.layers[spoilt]
    assert worst.weights > 10 * worst.output
    assert worst.without < found.total
    assert worst.without == min(layer.without for layer in found.layers)


def test_layers_are_those_of_the_hub_in_order_with_their_fused_activations():
    model = classifier()
    found = sensitivity(model)
    names = [node.name for node in model.graph if node.op_type not in ("Relu", "Reshape", "Concat")]
    assert [layer.name for layer in found.layers if layer.operator != "Concat"] == names
    first = found.layers[0]
    assert (first.operator, first.activation) == ("Conv", "relu_4")
    assert all((layer.weights > 0) == (layer.operator in ("Conv", "Gemm")) for layer in found.layers)
    assert all(layer.output > 0 for layer in found.layers if layer.operator == "Conv")
    assert list(found.inputs) == ["x"]
    assert found.inputs["x"] > 0


def test_what_is_rounded_again_behind_a_move_is_left_out_with_the_layer():
    found = sensitivity(classifier())
    pool = next(layer for layer in found.layers if layer.operator == "GlobalAveragePool")
    assert pool.without != found.total  # its Reshape has a pair with the same parameters


def test_noises_alone_about_add_up_to_the_total():
    found = sensitivity(whole("unet-nearest"))
    together = sum(layer.alone for layer in found.layers) + sum(found.inputs.values())
    assert 0.5 < together / found.total < 2


def test_layers_in_float_make_no_noise():
    model = classifier()
    first = next(node.name for node in model.graph if node.op_type == "Conv")
    found = sensitivity(model, Settings(layers={first: LayerSettings(compute="float")}), leave_out=False)
    named = {layer.name: layer for layer in found.layers}
    assert first not in named or named[first].weights == 0
    assert all(layer.without is None for layer in found.layers)


def test_it_is_the_same_each_time():
    assert sensitivity(classifier()) == sensitivity(classifier())
