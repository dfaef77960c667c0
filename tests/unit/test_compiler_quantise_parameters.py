"""Scales, zero points and rounding, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.quantise.parameters import (
    LARGEST_BIAS,
    SMALLEST_SCALE,
    bias_scales,
    parameters,
    parameters_of_range,
    quantise_bias,
    quantise_weights,
    weight_scales,
    widened_for_bias,
)


@pytest.mark.parametrize(
    "low_high", [(-1.0, 1.0), (-0.1, 3.0), (0.0, 6.0), (-7.5, 0.0), (0.2, 5.0), (-5.0, -0.2), (-1e-3, 1e6)]
)
def test_zero_is_exact_and_the_whole_range_is_within_half_a_step(low_high):
    low, high = low_high
    found = parameters_of_range(low, high)
    real = np.linspace(min(low, 0), max(high, 0), 1001)
    stored = found.quantise(real)
    assert (found.quantise(np.zeros(1)) == found.zero_point).all()
    restored = (stored.astype(np.int64) - found.zero_point) * found.scale
    assert (
        np.abs(restored - real).max() <= found.scale * (0.5 if min(low, 0) == 0 or max(high, 0) == 0 else 1.0) * 1.001
    )


def test_a_range_takes_all_integers():
    found = parameters_of_range(-3.0, 5.0)
    assert found.scale == np.float32(8 / 255)
    assert found.quantise(np.array([-3.0, 5.0])).tolist() == [-128, 127]


def test_scales_are_float32_numbers():
    assert parameters(0.1, 3).scale == float(np.float32(0.1))
    assert parameters_of_range(-0.1, 0.7).scale == float(np.float32(parameters_of_range(-0.1, 0.7).scale))


def test_a_range_of_nothing_but_zero_counts_as_zero_to_one():
    assert parameters_of_range(0.0, 0.0) == parameters_of_range(0.0, 1.0)


def test_a_range_of_next_to_nothing_keeps_a_usable_scale():
    found = parameters_of_range(-1e-30, 1e-38)
    assert found.scale == SMALLEST_SCALE
    assert -128 <= found.zero_point <= 127


def test_rounding_is_half_to_even_and_saturates():
    found = parameters(1.0, 0)
    assert found.quantise(np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1000.0, -1000.0])).tolist() == [
        0,
        2,
        2,
        0,
        -2,
        127,
        -128,
    ]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_weights_are_symmetric_per_channel(axis):
    weights = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    scales = weight_scales(weights, axis)
    stored = quantise_weights(weights, scales, axis)
    assert scales.shape == (weights.shape[axis],)
    assert np.abs(stored.astype(int)).max(axis=tuple(other for other in range(3) if other != axis % 3)).tolist() == [
        127
    ] * len(scales)
    along = np.expand_dims(scales, tuple(other for other in range(3) if other != axis % 3))
    assert np.abs(stored * along - weights).max() <= scales.max() * 0.5001


def test_one_scale_serves_all_channels_where_the_target_takes_one():
    weights = np.array([[1.0, -2.0], [0.25, 0.5]], np.float32)
    scales = weight_scales(weights, None)
    assert scales.shape == ()
    assert quantise_weights(weights, scales, None).tolist() == [[64, -127], [16, 32]]  # 63.5 to even


def test_a_dead_channel_gets_the_largest_scale_of_the_others():
    weights = np.array([[0.0, 0.0], [1.27, 0.0], [0.0, 2.54]], np.float32)
    np.testing.assert_allclose(weight_scales(weights, 0), [0.02, 0.01, 0.02], rtol=1e-6)
    np.testing.assert_allclose(weight_scales(np.zeros((2, 3), np.float32), 0), [1 / 127] * 2, rtol=1e-6)


def test_a_bias_far_larger_than_its_weights_widens_their_scale_instead_of_overflowing():
    weights = np.array([[1e-9, 0.0], [1.0, 0.5]], np.float32)
    bias = np.array([3.0, 0.1], np.float32)
    plain = weight_scales(weights, 0)
    widened = widened_for_bias(plain, bias, input_scale=0.01)
    assert widened[1] == plain[1]
    assert widened[0] > plain[0]
    scales = bias_scales(widened, 0.01)
    stored = quantise_bias(bias, scales)
    assert np.abs(stored.astype(np.int64)).max() <= LARGEST_BIAS
    np.testing.assert_allclose(stored * scales.astype(np.float64), bias, rtol=1e-6)


def test_one_scale_is_widened_for_the_largest_bias():
    widened = widened_for_bias(np.float32(1e-12), np.array([1.0, -2.0], np.float32), input_scale=1.0)
    assert quantise_bias(np.array([-2.0], np.float32), bias_scales(widened, 1.0)) >= -LARGEST_BIAS


def test_bias_scales_are_the_exact_product_rounded_once():
    scales = np.random.default_rng(0).uniform(1e-4, 1e-2, 1000).astype(np.float32)
    for input_scale in (0.1, 0.0235, 3e-5):
        factor = np.float32(input_scale)
        expected = (scales.astype(np.longdouble) * np.longdouble(factor)).astype(np.float32)
        np.testing.assert_array_equal(bias_scales(scales, float(factor)), expected)
