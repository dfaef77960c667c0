"""Latency percentiles within the sketch's promise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefleet_agent.latency import LatencySketch

pytestmark = pytest.mark.property


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=200))
def test_each_percentile_is_within_one_percent_of_the_true_one(times: list[float]) -> None:
    sketch = LatencySketch()
    for value in times:
        sketch.add(value)
    seen, ordered = sketch.percentiles(), sorted(times)
    assert seen is not None
    assert seen.max == ordered[-1]
    for share, value in ((0.5, seen.p50), (0.95, seen.p95), (0.99, seen.p99)):
        true = ordered[int(share * (len(ordered) - 1))]
        assert abs(value - true) <= 0.0101 * true


def test_nothing_has_no_percentiles() -> None:
    assert LatencySketch().percentiles() is None
