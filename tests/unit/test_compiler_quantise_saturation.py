"""Pairs of weights whose products fit 16 bits: which do, what is done to those that do not, and at what cost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.parameters import quantise_weights, weight_scales
from edgefleet_compiler.quantise.saturation import (
    narrowed_scales,
    pairs_fit,
    quantise_narrow,
    saturating_product,
)
from edgefleet_compiler.quantise.settings import Settings
from support.onnx_graphs import OnnxGraph

Floats = NDArray[np.float32]
SHAPES = [("Conv", (8, 6, 3, 3)), ("Conv", (4, 3, 5)), ("Gemm", (5, 33)), ("MatMul", (33, 5)), ("MatMul", (2, 6, 5))]


def drawn(shape: tuple[int, ...], seed: int = 0) -> Floats:
    """Weights as networks have them, some of which are neighbours and large."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def integers(*values: int) -> NDArray[np.int8]:
    return np.array([values], np.int8)


@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        (integers(64, 64), True),
        (integers(64, 65), False),
        (integers(-127, -1), True),
        (integers(-127, -2), False),
        (integers(127, -127), True),
        (integers(1, 127, 127, 1), True),  # the two in the middle are of different pairs
        (integers(0, 0, 127), True),
    ],
)
def test_a_pair_fits_up_to_a_sum_of_128_which_is_where_saturation_begins(weights: NDArray[np.int8], fits: bool) -> None:
    assert pairs_fit(weights, "Gemm").tolist() == [fits]
    largest = np.full(weights.shape, 255, np.uint8)
    exact = largest.astype(int) @ weights.astype(int).T
    assert (saturating_product(largest, weights) == exact).all() == fits


@pytest.mark.parametrize(("operator", "shape"), SHAPES)
@pytest.mark.parametrize("per_channel", [True, False])
def test_all_pairs_fit_afterwards_and_the_error_is_less_than_that_of_seven_bits(
    operator: str, shape: tuple[int, ...], per_channel: bool
) -> None:
    weights = drawn(shape)
    one_scale = not per_channel or (operator, len(shape)) == ("MatMul", 3)
    axis = None if one_scale else int(operator == "MatMul")
    own = weight_scales(weights, axis)
    assert not pairs_fit(quantise_weights(weights, own, axis), operator).all()
    scales = narrowed_scales(weights, own, operator)
    assert (scales >= own).all()
    narrow = quantise_narrow(weights, scales, operator)
    assert narrow.shape == weights.shape
    assert pairs_fit(narrow, operator).all()
    halves = (own * 2).astype(np.float32)
    column = [1] * len(shape)
    if axis is not None:
        column[axis] = -1

    def error(stored: NDArray[np.int8], used: Floats) -> float:
        return float(np.square(stored * used.reshape(column) - weights).sum())

    assert error(narrow, scales) < error(quantise_weights(weights, halves, axis), halves)


def test_a_pair_that_does_not_fit_becomes_the_nearest_one_that_does() -> None:
    pairs = np.random.default_rng(0).uniform(50, 127, (200, 2)).astype(np.float32)
    candidates = np.array([pair for pair in itertools.product(range(128), repeat=2) if sum(pair) <= 128])
    for sign in (1, -1):
        found = quantise_narrow(sign * pairs, np.float32(1).reshape(()), "Gemm")
        for pair, ours in zip(pairs, sign * found.astype(int), strict=True):
            best = np.square(candidates - pair).sum(axis=1).min()
            assert np.square(ours - pair).sum() == pytest.approx(best)


def test_channels_whose_pairs_fit_stay_as_they_are() -> None:
    weights = np.random.default_rng(0).uniform(0.5, 1, (6, 16)).astype(np.float32)
    weights[2:, ::2] *= 0.005
    own = weight_scales(weights, 0)
    scales = narrowed_scales(weights, own, "Gemm")
    assert (scales[:2] > own[:2]).all()
    np.testing.assert_array_equal(scales[2:], own[2:])
    np.testing.assert_array_equal(quantise_narrow(weights, own, "Gemm")[2:], quantise_weights(weights, own, 0)[2:])


def test_neighbours_of_a_convolution_are_input_channels_before_columns_of_the_kernel() -> None:
    weights = np.zeros((1, 2, 2, 2), np.int8)
    weights[0, :, 1, 0] = 100
    assert not pairs_fit(weights, "Conv").all()
    weights[0, :, 1, 0] = 100, 0
    weights[0, 0, 1, 1] = 100
    assert pairs_fit(weights, "Conv").all()


def test_the_quantiser_narrows_matrix_products_and_leaves_depthwise_convolutions() -> None:
    graph = OnnxGraph()
    image = graph.input("x", 1, 4, 8, 8)
    full = graph.conv(image, (4, 8), (3, 3), pads=[1, 1, 1, 1])
    depthwise = graph.conv(full, (8, 8), (3, 3), pads=[1, 1, 1, 1], group=8)
    model = graph.model(graph.gemm(graph.node("Flatten", depthwise), 512, 6))
    simplify(model)
    case = {"x": np.random.default_rng(0).normal(size=(1, 4, 8, 8)).astype(np.float32)}
    ranges = calibrate(model, [case], lambda _: None)

    def stored(settings: Settings) -> list[NDArray[np.int8]]:
        layers = [node for node in quantise(model, ranges, settings).graph if node.op_type in ("Conv", "Gemm")]
        arrays = [constant(node.inputs[1].producer().inputs[0]) for node in layers]
        return [array for array in arrays if array is not None]

    plain, narrow = stored(Settings()), stored(Settings(narrow_pairs=True))
    kinds = ["Conv", "Conv", "Gemm"]
    assert [bool(pairs_fit(array, kind).all()) for array, kind in zip(plain, kinds, strict=True)][::2] == [False, False]
    assert [bool(pairs_fit(array, kind).all()) for array, kind in zip(narrow, kinds, strict=True)][::2] == [True, True]
    np.testing.assert_array_equal(plain[1], narrow[1])
