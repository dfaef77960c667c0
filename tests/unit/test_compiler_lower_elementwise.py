from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_compiles, kinds
from support.onnx_graphs import OnnxGraph

SHAPES = [(1, 3, 7, 5), (2, 4, 9), (7,), ()]
PAIRS = [
    ((1, 3, 7, 5), (1, 3, 7, 5)),
    ((1, 3, 7, 5), (1, 3, 1, 1)),
    ((3, 1, 5), (2, 3, 7, 1)),
    ((4, 9), (9,)),
    ((), (2, 3)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("Abs", "ABS"),
        ("Ceil", "CEIL"),
        ("Cos", "COS"),
        ("Elu", "ELU"),
        ("Exp", "EXP"),
        ("Floor", "FLOOR"),
        ("HardSwish", "HARD_SWISH"),
        ("Neg", "NEG"),
        ("Round", "ROUND"),
        ("Sign", "SIGN"),
        ("Sin", "SIN"),
    ],
)
def test_an_elementwise_operator_is_one_operator_of_tflite(operator, kind, shape):
    graph = OnnxGraph()
    assert kinds(assert_compiles(graph.model(graph.node(operator, graph.input("x", *shape))))) == [kind]


@pytest.mark.parametrize("operator", ["Log", "Sqrt", "Reciprocal"])
def test_an_elementwise_operator_of_positive_numbers_computes_what_onnxruntime_does(operator):
    graph = OnnxGraph()
    assert_compiles(graph.model(graph.node(operator, graph.node("Exp", graph.input("x", 1, 3, 5, 4)))))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_a_gelu_of_either_form_is_one_operator(approximate):
    graph = OnnxGraph()
    lowered = assert_compiles(graph.model(graph.node("Gelu", graph.input("x", 2, 9), approximate=approximate)))
    assert kinds(lowered) == ["GELU"]
    assert lowered.operators[0].attributes == {"approximate": approximate == "tanh"}


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Elu", {"alpha": 0.3}),
        ("Selu", {}),
        ("Selu", {"alpha": 2.0, "gamma": 0.5}),
        ("Mish", {}),
        ("Softplus", {}),
    ],
)
def test_an_activation_that_tflite_has_not_is_composed_exactly(operator, attributes):
    graph = OnnxGraph()
    wide = graph.node("Mul", graph.input("x", 1, 3, 6, 6), graph.constant(12.0))
    assert_compiles(graph.model(graph.node(operator, wide, **attributes)), tolerance=2e-6)


@pytest.mark.parametrize("slope", [(3, 1, 1), (1,), (3, 7, 5), (5,)])
def test_a_prelu_broadcasts_its_slope(slope):
    graph = OnnxGraph()
    source = graph.conv(graph.input("x", 1, 2, 7, 5), (2, 3), (1, 1))
    lowered = assert_compiles(
        graph.model(graph.node("PRelu", source, graph.constant(graph.random.uniform(-1, 1, slope))))
    )
    assert "PRELU" in kinds(lowered)


@pytest.mark.parametrize(("left", "right"), PAIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Max", "Min", "Equal", "Greater", "Less", "LessOrEqual"])
def test_operators_of_two_numbers_broadcast_and_keep_their_type(operator, dtype, left, right):
    graph = OnnxGraph()
    operands = [graph.input("x", *left, dtype=dtype), graph.input("y", *right, dtype=dtype)]
    assert_compiles(graph.model(graph.node(operator, *operands)))


@pytest.mark.parametrize(("left", "right"), PAIRS)
@pytest.mark.parametrize("operator", ["And", "Or", "Xor"])
def test_logical_operators_take_truths(operator, left, right):
    graph = OnnxGraph()
    operands = [graph.input("x", *left, dtype=np.bool_), graph.input("y", *right, dtype=np.bool_)]
    assert_compiles(graph.model(graph.node("Not", graph.node(operator, *operands))))


@pytest.mark.parametrize("operator", ["Sum", "Mean", "Max", "Min"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_operands_is_combined(operator, count):
    graph = OnnxGraph()
    shapes = [(1, 3, 4, 5), (3, 1, 5), (1, 1, 4, 1), (5,)]
    operands = [graph.input(f"x{index}", *shape) for index, shape in enumerate(shapes[:count])]
    assert_compiles(graph.model(graph.node(operator, *operands)))


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_a_choice_broadcasts_its_condition_and_both_operands(dtype):
    graph = OnnxGraph()
    condition = graph.input("c", 3, 1, 5, dtype=np.bool_)
    operands = [graph.input("x", 1, 3, 4, 5, dtype=dtype), graph.constant([[[1]]], dtype)]
    assert kinds(assert_compiles(graph.model(graph.node("Where", condition, *operands))))[-1] == "SELECT_V2"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (np.float32, np.int32),
        (np.float32, np.int64),
        (np.int32, np.float32),
        (np.int64, np.int32),
        (np.float32, np.bool_),
        (np.int64, np.bool_),
        (np.bool_, np.float32),
        (np.bool_, np.int64),
    ],
)
def test_a_cast_between_element_types_gives_what_onnxruntime_gives(given, wanted):
    graph = OnnxGraph()
    types = {np.float32: TensorProto.FLOAT, np.int32: TensorProto.INT32, np.int64: TensorProto.INT64}
    cast = graph.node("Cast", graph.input("x", 3, 5, dtype=given), to=types.get(wanted, TensorProto.BOOL))
    assert_compiles(graph.model(cast))


@pytest.mark.parametrize(("low", "high"), [(-1, 2), (None, 1), (0, None)])
def test_integers_are_clipped_as_integers(low, high):
    graph = OnnxGraph()
    bounds = ["" if bound is None else graph.constant(bound, np.int32) for bound in (low, high)]
    assert_compiles(graph.model(graph.node("Clip", graph.input("x", 4, 5, dtype=np.int32), *bounds)))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_remainder_has_the_sign_of_the_divisor(dtype):
    graph = OnnxGraph()
    model = graph.model(
        graph.node("Mod", graph.input("x", 4, 9, dtype=dtype), graph.constant([[2], [-2], [3], [-3]], dtype))
    )
    assert kinds(assert_compiles(model)) == ["FLOOR_MOD"]


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 0.5, -1.0, 1.7, [2.0, 0.5, 1.5, 1.0]])
def test_a_power_by_a_constant_computes_what_onnxruntime_does(exponent):
    graph = OnnxGraph()
    base = graph.node("Exp", graph.input("x", 3, 4))
    assert_compiles(graph.model(graph.node("Pow", base, graph.constant(exponent))))


def test_one_over_a_square_root_is_one_operator():
    graph = OnnxGraph()
    root = graph.node("Sqrt", graph.node("Exp", graph.input("x", 3, 4)))
    assert kinds(assert_compiles(graph.model(graph.node("Reciprocal", root)))) == ["EXP", "RSQRT"]


def test_a_square_root_that_others_read_stays():
    graph = OnnxGraph()
    root = graph.node("Sqrt", graph.node("Exp", graph.input("x", 3, 4)))
    assert "SQRT" in kinds(assert_compiles(graph.model(graph.node("Reciprocal", root), root)))


def test_erf_alone_has_no_lowering_and_is_told():
    graph = OnnxGraph()
    model = graph.model(graph.node("Erf", graph.input("x", 1, 4)))
    with pytest.raises(OperatorUnsupported, match="Erf"):
        export_tflite(model, io="float", io_layout="source")


def test_elementwise_operators_between_convolutions_follow_their_layout():
    graph = OnnxGraph()
    first = graph.conv(graph.input("x", 1, 3, 8, 8), (3, 4), (3, 3))
    positive = graph.node("Greater", first, graph.constant(0.0))
    chosen = graph.node(
        "Where", positive, graph.node("Sin", first), graph.constant(graph.random.normal(size=(4, 1, 1)))
    )
    last = graph.conv(graph.node("PRelu", chosen, graph.constant([[[0.1]], [[0.2]], [[0.3]], [[0.4]]])), (4, 2), (1, 1))
    assert kinds(assert_compiles(graph.model(last))).count("TRANSPOSE") == 2
