from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from edgefleet_compiler.four_bits import INT4, packed, stored_bytes, unpacked
from edgefleet_compiler.quantise.weights import integers_of, scales_of


@pytest.mark.parametrize("shape", [(16,), (3, 5), (1,), (0,), ()])
def test_what_is_packed_comes_back_and_takes_half_the_bytes(shape):
    integers = np.random.default_rng(0).integers(-8, 8, shape).astype(ml_dtypes.int4)
    content = packed(integers)
    assert content.nbytes == stored_bytes(shape, INT4) == (integers.size + 1) // 2
    np.testing.assert_array_equal(unpacked(content, shape).astype(np.int8), integers.astype(np.int8))


def test_the_first_of_two_is_in_the_low_bits():
    np.testing.assert_array_equal(packed(np.array([1, -1, 7], ml_dtypes.int4)), [0xF1, 0x07])


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_scale_of_four_bits_has_the_least_error_of_a_fine_search(axis):
    weights = np.random.default_rng(1).standard_t(4, (60, 90)).astype(np.float32)

    def error(scales):
        integers = integers_of(weights, scales, axis, "int4").astype(np.float32)
        along = scales.reshape({None: (), 0: (-1, 1), 1: (1, -1)}[axis])
        return np.square(integers * along - weights).sum(axis={None: None, 0: 1, 1: 0}[axis])

    chosen = scales_of(weights, axis, "int4")
    fitting = scales_of(weights, axis, "int8") * np.float32(127 / 7)
    finest = np.min([error(fitting * np.float32(share)) for share in np.linspace(0.3, 1.2, 400)], axis=0)
    assert np.all(error(chosen) <= finest * 1.05 + 1e-12)
    assert error(chosen).sum() < error(fitting).sum()


def test_eight_bits_store_the_largest_weight_of_a_channel_as_127():
    weights = np.random.default_rng(2).normal(size=(4, 30)).astype(np.float32)
    integers = integers_of(weights, scales_of(weights, 0, "int8"), 0, "int8")
    np.testing.assert_array_equal(np.abs(integers.astype(np.int32)).max(axis=1), 127)
