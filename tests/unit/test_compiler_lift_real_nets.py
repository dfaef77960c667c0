"""TFLite operators of transformers, recurrent nets and U-Nets in the hub: onnxruntime computes what LiteRT does."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.lift import lift
from edgefleet_contract.errors import ModelMalformed
from support.lifting import assert_lifts
from support.tflite_graphs import Shape, TfliteGraph


@pytest.mark.parametrize(
    "kind", ["ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "NEG", "ROUND", "SIGN", "SIN", "SQUARE"]
)
def test_operators_on_each_element(kind: str) -> None:
    builder = TfliteGraph()
    assert_lifts(builder.graph(builder.add(kind, [builder.input((2, 3, 5))], (2, 3, 5))))


@pytest.mark.parametrize("kind", ["LOG", "SQRT", "RSQRT"])
def test_operators_on_positive_elements(kind: str) -> None:
    builder = TfliteGraph()
    assert_lifts(builder.graph(builder.add(kind, [builder.input((1, 7))], (1, 7))), positive=True)


def test_rounding_takes_halves_to_even() -> None:
    builder = TfliteGraph()
    halves = builder.constant([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    shifted = builder.add("ADD", [builder.add("FLOOR", [builder.input((1, 6))], (1, 6)), halves], (1, 6))
    assert_lifts(builder.graph(builder.add("ROUND", [shifted], (1, 6))))


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_by_erf_and_by_tanh(approximate: bool) -> None:
    builder = TfliteGraph()
    assert_lifts(builder.graph(builder.add("GELU", [builder.input((1, 40))], (1, 40), approximate=approximate)))


def test_log_softmax_and_prelu() -> None:
    builder = TfliteGraph()
    slopes = builder.weights(1, 1, 4)
    value = builder.add("PRELU", [builder.input((1, 3, 5, 4)), slopes], (1, 3, 5, 4))
    assert_lifts(builder.graph(builder.add("LOG_SOFTMAX", [value], (1, 3, 5, 4))))


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize(("left", "right"), [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (1, 4)), ((3, 1), (2, 3, 4))])
def test_operators_whose_operands_broadcast(kind: str, left: Shape, right: Shape) -> None:
    builder = TfliteGraph()
    operands = [builder.input(left), builder.input(right)]
    assert_lifts(builder.graph(builder.add(kind, operands, (2, 3, 4))))


def test_quotients_and_powers_with_their_activations() -> None:
    builder = TfliteGraph()
    left, right = builder.input((2, 6)), builder.input((1, 6))
    quotient = builder.add("DIV", [left, right], (2, 6), fused_activation_function="RELU6")
    power = builder.add("POW", [left, right], (2, 6))
    assert_lifts(builder.graph(quotient, power), positive=True)


@pytest.mark.parametrize("kind", ["SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])
@pytest.mark.parametrize(("axes", "keep", "result"), [((1,), True, (2, 1, 4)), ((-1, 0), False, (3,))])
def test_reductions(kind: str, axes: Shape, keep: bool, result: Shape) -> None:
    builder = TfliteGraph()
    operands = [builder.input((2, 3, 4)), builder.indices(*axes)]
    assert_lifts(builder.graph(builder.add(kind, operands, result, keep_dims=keep)))


@pytest.mark.parametrize(("adj_x", "left"), [(False, (2, 3, 4, 5)), (True, (2, 3, 5, 4))])
@pytest.mark.parametrize(("adj_y", "right"), [(False, (1, 3, 5, 6)), (True, (1, 3, 6, 5))])
def test_products_of_stacked_matrices(adj_x: bool, left: Shape, adj_y: bool, right: Shape) -> None:
    builder = TfliteGraph()
    operands = [builder.input(left), builder.input(right)]
    assert_lifts(builder.graph(builder.add("BATCH_MATMUL", operands, (2, 3, 4, 6), adj_x=adj_x, adj_y=adj_y)))


@pytest.mark.parametrize("adj_y", [False, True])
def test_a_product_by_constant_matrices(adj_y: bool) -> None:
    builder = TfliteGraph()
    weights = builder.weights(2, 6, 5) if adj_y else builder.weights(2, 5, 6)
    operands = [builder.input((2, 4, 5)), weights]
    assert_lifts(builder.graph(builder.add("BATCH_MATMUL", operands, (2, 4, 6), adj_y=adj_y)))


@pytest.mark.parametrize(
    ("image", "kernel", "stride", "padding", "result"),
    [
        ((1, 5, 4, 3), (3, 3), (2, 2), "SAME", (10, 8)),
        ((1, 5, 4, 3), (2, 2), (2, 2), "VALID", (10, 8)),
        ((1, 5, 4, 3), (3, 2), (2, 3), "VALID", (11, 11)),
        ((1, 5, 4, 3), (4, 4), (1, 1), "SAME", (5, 4)),
        ((1, 5, 4, 3), (1, 1), (2, 2), "SAME", (10, 8)),
        ((2, 3, 3, 3), (5, 5), (3, 3), "SAME", (8, 7)),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolutions(
    image: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: str, result: tuple[int, int], bias: bool
) -> None:
    builder = TfliteGraph()
    shape = (image[0], *result, 4)
    operands = [builder.indices(*shape), builder.weights(4, *kernel, 3), builder.input(image)]
    operands += [builder.weights(4)] if bias else []
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1], "fused_activation_function": "RELU"}
    assert_lifts(builder.graph(builder.add("TRANSPOSE_CONV", operands, shape, **options)))


@pytest.mark.parametrize("kind", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("flags", [{}, {"half_pixel_centers": True}, {"align_corners": True}], ids=str)
@pytest.mark.parametrize("extents", [(10, 12), (7, 5), (2, 3), (5, 6)])
def test_resizes(kind: str, flags: dict[str, bool], extents: tuple[int, int]) -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 5, 6, 2)), builder.indices(*extents)]
    assert_lifts(builder.graph(builder.add(kind, operands, (1, *extents, 2), **flags)))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_what_is_packed_along_a_new_axis(axis: int) -> None:
    builder = TfliteGraph()
    shape = {0: (3, 2, 4), 1: (2, 3, 4), -1: (2, 4, 3)}[axis]
    values = [builder.input((2, 4)) for _ in range(3)]
    assert_lifts(builder.graph(builder.add("PACK", values, shape, axis=axis, values_count=3)))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_what_is_unpacked_along_an_axis(axis: int) -> None:
    builder = TfliteGraph()
    shape = [(2, 4), (3, 4), (3, 2)][axis]
    extent = (3, 2, 4)[axis]
    parts = builder.add_many("UNPACK", [builder.input((3, 2, 4))], [shape] * extent, num=extent, axis=axis)
    assert_lifts(builder.graph(*parts))


@pytest.mark.parametrize("axis", [1, -2])
def test_equal_parts(axis: int) -> None:
    builder = TfliteGraph()
    operands = [builder.constant(axis, np.int32), builder.input((2, 6, 3))]
    assert_lifts(builder.graph(*builder.add_many("SPLIT", operands, [(2, 2, 3)] * 3, num_splits=3)))


@pytest.mark.parametrize("sizes", [(1, 3, 2), (1, -1, 2)])
def test_parts_of_given_sizes(sizes: Shape) -> None:
    builder = TfliteGraph()
    operands = [builder.input((2, 6)), builder.indices(*sizes), builder.constant(1, np.int32)]
    assert_lifts(builder.graph(*builder.add_many("SPLIT_V", operands, [(2, 1), (2, 3), (2, 2)], num_splits=3)))


def test_what_is_turned_round() -> None:
    builder = TfliteGraph()
    assert_lifts(builder.graph(builder.add("REVERSE_V2", [builder.input((2, 5, 3)), builder.indices(1)], (2, 5, 3))))


def test_parts_that_are_not_all_of_the_whole_are_refused() -> None:
    builder = TfliteGraph()
    operands = [builder.constant(1, np.int32), builder.input((2, 7))]
    with pytest.raises(ModelMalformed, match="into 3 parts"):
        lift(builder.graph(*builder.add_many("SPLIT", operands, [(2, 2)] * 3, num_splits=3)))


def test_a_transposed_convolution_that_cannot_make_its_output_is_refused() -> None:
    builder = TfliteGraph()
    operands = [builder.indices(1, 30, 8, 4), builder.weights(4, 3, 3, 3), builder.input((1, 5, 4, 3))]
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 2}
    with pytest.raises(ModelMalformed, match="windows of"):
        lift(builder.graph(builder.add("TRANSPOSE_CONV", operands, (1, 30, 8, 4), **options)))
