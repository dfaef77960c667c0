"""What holds for ranges by any method, of any numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edgefleet_compiler.quantise.calibration.methods import range_by
from edgefleet_compiler.quantise.settings import Method
from support.observations import seen

pytestmark = pytest.mark.property

METHODS = st.sampled_from(["min-max", "percentile 90", "percentile 99.9", "mse", "entropy"]).map(Method.parse)
NUMBERS = arrays.arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False))


@given(METHODS, NUMBERS, st.sampled_from([8, 16]))
def test_ranges_hold_zero_and_nothing_that_was_not_seen(method: Method, values: NDArray[np.float32], bits: int) -> None:
    observed = seen(values)
    found = range_by(method, observed, bits)
    assert observed.low <= found.low <= 0 <= found.high <= observed.high


@given(METHODS, st.lists(NUMBERS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_cases_does_not_matter(
    method: Method, cases: list[NDArray[np.float32]], shuffler: st.DataObject
) -> None:
    forth = range_by(method, seen(*cases))
    shuffler.shuffle(cases)  # type: ignore[attr-defined]  # hypothesis draws a random.Random
    assert range_by(method, seen(*cases)) == forth


@given(NUMBERS)
def test_the_hundredth_percentile_is_min_max(values: NDArray[np.float32]) -> None:
    observed = seen(values)
    assert range_by(Method("percentile", 100.0), observed) == range_by(Method("min-max"), observed)


@given(METHODS, NUMBERS, st.integers(-20, 20))
def test_ranges_scale_with_the_data(method: Method, values: NDArray[np.float32], power: int) -> None:
    values = np.where(np.abs(values) < 1e-3, np.float32(0), values)
    found, scaled = range_by(method, seen(values)), range_by(method, seen(np.ldexp(values, power)))
    assert (scaled.low, scaled.high) == pytest.approx((found.low * 2.0**power, found.high * 2.0**power), rel=1e-9)


@given(NUMBERS, st.floats(60, 99.9), st.floats(60, 99.9))
def test_a_higher_percentile_is_no_narrower(values: NDArray[np.float32], first: float, second: float) -> None:
    observed = seen(values)
    narrow, wide = (range_by(Method("percentile", percent), observed) for percent in sorted([first, second]))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high
