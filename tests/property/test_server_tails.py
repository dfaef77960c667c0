"""Binomial tails: probabilities that behave, for any numbers a device may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefleet_server.rollouts.evidence import CASES_LIMIT, lower_tail, upper_tail

pytestmark = pytest.mark.property

sizes = st.integers(0, CASES_LIMIT)
chances = st.floats(0, 1)


@given(n=sizes, p=chances, data=st.data())
def test_tails_are_probabilities_and_complement_each_other(n: int, p: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n + 1))
    above, below = upper_tail(n, p, k), lower_tail(n, p, k - 1)
    assert 0 <= above <= 1
    assert 0 <= below <= 1
    assert above + below == pytest.approx(1, abs=1e-6)


@given(n=st.integers(1, 500), p=st.floats(0.01, 0.99), data=st.data())
def test_more_is_less_likely(n: int, p: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n - 1))
    assert upper_tail(n, p, k + 1) <= upper_tail(n, p, k) + 1e-12
