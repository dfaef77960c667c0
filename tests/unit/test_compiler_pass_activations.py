from __future__ import annotations

import math

import pytest

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.activations import recognise_activations
from support.exports import assert_compiles, kinds
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


def pytorch_gelu(graph, x):
    """``torch.nn.functional.gelu`` as torch.onnx writes it before opset 20."""
    erf = graph.node("Erf", graph.node("Div", x, graph.constant(math.sqrt(2))))
    whole = graph.node("Mul", x, graph.node("Add", erf, graph.constant(1.0)))
    return graph.node("Mul", whole, graph.constant(0.5))


def keras_gelu(graph, x):
    """Keras: x / 2 times the complementary error function of -x / sqrt(2)."""
    erf = graph.node("Erf", graph.node("Mul", graph.node("Neg", x), graph.constant(math.sqrt(0.5))))
    complement = graph.node("Sub", graph.constant(1.0), erf)
    return graph.node("Mul", graph.node("Mul", graph.constant(0.5), x), complement)


def bert_gelu(graph, x):
    """The factor of one half inside the sum."""
    erf = graph.node("Erf", graph.node("Mul", x, graph.constant(math.sqrt(0.5))))
    share = graph.node("Add", graph.node("Mul", erf, graph.constant(0.5)), graph.constant(0.5))
    return graph.node("Mul", share, x)


def tanh_gelu(graph, x, cubic=0.044715, power=True):
    """GPT-2 and TensorFlow: the approximation, its cube as a power or as products."""
    cube = graph.node("Pow", x, graph.constant(3.0))
    if not power:
        cube = graph.node("Mul", graph.node("Mul", x, x), x)
    inner = graph.node("Add", x, graph.node("Mul", cube, graph.constant(cubic)))
    tanh = graph.node("Tanh", graph.node("Mul", inner, graph.constant(math.sqrt(2 / math.pi))))
    return graph.node("Mul", graph.node("Mul", x, graph.constant(0.5)), graph.node("Add", tanh, graph.constant(1.0)))


def hard_swish(graph, x):
    """MobileNetV3 as PyTorch and TFLite's converter write it."""
    clipped = graph.clip(graph.node("Add", x, graph.constant(3.0)), 0, 6)
    return graph.node("Div", graph.node("Mul", x, clipped), graph.constant(6.0))


def hard_sigmoid_swish(graph, x, factor=None):
    clipped = graph.clip(graph.node("Add", graph.node("Mul", x, graph.constant(1 / 6)), graph.constant(0.5)), 0, 1)
    return graph.node("Mul", factor or x, clipped)


def softplus(graph, x):
    return graph.node("Log", graph.node("Add", graph.node("Exp", x), graph.constant(1.0)))


@pytest.mark.parametrize(
    ("written", "operator"),
    [
        (pytorch_gelu, "Gelu"),
        (keras_gelu, "Gelu"),
        (bert_gelu, "Gelu"),
        (tanh_gelu, "Gelu"),
        (lambda graph, x: tanh_gelu(graph, x, power=False), "Gelu"),
        (hard_swish, "HardSwish"),
        (hard_sigmoid_swish, "HardSwish"),
        (softplus, "Softplus"),
    ],
)
def test_an_activation_is_recognised_however_it_was_written_out(written, operator):
    graph = OnnxGraph()
    model = graph.model(written(graph, graph.input("x", 2, 9)))
    assert apply(recognise_activations, model) == {f"recognised {{}} {operator}": 1}
    assert operators(model)[-1] == operator


@pytest.mark.parametrize("written", [pytorch_gelu, keras_gelu, bert_gelu, tanh_gelu])
def test_between_layers_a_written_out_gelu_is_one_operator_in_both_formats(written):
    graph = OnnxGraph()
    hidden = graph.node("MatMul", graph.input("x", 1, 4, 6), graph.weights(6, 8, fan_in=6))
    biased = graph.node("Add", hidden, graph.constant(graph.random.normal(size=8)))
    lowered = assert_compiles(graph.model(graph.node("MatMul", written(graph, biased), graph.weights(8, 6, fan_in=8))))
    assert kinds(lowered) == ["FULLY_CONNECTED", "ADD", "GELU", "FULLY_CONNECTED"]


@pytest.mark.parametrize(
    "written",
    [
        lambda graph, x: tanh_gelu(graph, x, cubic=0.0447),
        lambda graph, x: graph.node("Mul", x, graph.node("Sigmoid", graph.node("Mul", x, graph.constant(1.702)))),
        lambda graph, x: graph.node("Mul", x, graph.clip(graph.node("Add", x, graph.constant(3.0)), 0, 6)),
        lambda graph, x: hard_sigmoid_swish(graph, x, graph.clip(x, -70, 70)),
        lambda graph, x: hard_sigmoid_swish(graph, x, graph.clip(x, -9000, 9000)),
    ],
)
def test_another_formula_is_left_as_it_is(written):
    graph = OnnxGraph()
    model = graph.model(written(graph, graph.input("x", 2, 9)))
    simplify(model)
    assert not {"Gelu", "HardSwish"} & set(operators(model))


def test_a_piece_whose_inner_values_are_used_elsewhere_stays():
    graph = OnnxGraph()
    x = graph.input("x", 2, 9)
    erf = graph.node("Erf", graph.node("Mul", x, graph.constant(math.sqrt(0.5))))
    share = graph.node("Add", graph.node("Mul", erf, graph.constant(0.5)), graph.constant(0.5))
    model = graph.model(graph.node("Mul", share, x), graph.node("Relu", erf))
    assert not apply(recognise_activations, model)


def test_numbers_that_differ_from_element_to_element_are_no_activation():
    graph = OnnxGraph()
    x = graph.input("x", 2, 3)
    erf = graph.node("Erf", graph.node("Mul", x, graph.constant([math.sqrt(0.5)] * 3)))
    model = graph.model(graph.node("Mul", graph.node("Add", erf, graph.constant(1.0)), x))
    assert not apply(recognise_activations, model)
