"""Mixed precision: the integer programme finds what trying every mix does."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefleet_compiler.quantise.search.mixed import Option, mix
from edgefleet_compiler.quantise.settings import LayerSettings

CHOICES = [
    LayerSettings(compute=compute, weights=weights)
    for compute in ("int8", "int16", "float")
    for weights in ("int8", "int4")
]
numbers = st.integers(0, 40).map(lambda number: number / 8)
rows = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4)
programmes = st.lists(rows, min_size=1, max_size=5).map(
    lambda layers: {
        f"layer {index}": [Option(CHOICES[place], *pair) for place, pair in enumerate(pairs)]
        for index, pairs in enumerate(layers)
    }
)

pytestmark = pytest.mark.property


def tried(options):
    """Noise and cost of every mix."""
    return [
        (sum(option.noise for option in each), sum(option.cost for option in each))
        for each in product(*options.values())
    ]


def totals(options, found):
    picked = [
        next(option for option in choices if option.settings == found.layers[name]) for name, choices in options.items()
    ]
    return sum(option.noise for option in picked), sum(option.cost for option in picked)


@settings(deadline=None)  # the first call imports scipy
@given(programmes, numbers.map(lambda number: 2 * number))
def test_the_cheapest_within_a_bound_of_noise_is_found(options, bound):
    found = mix(options, least="cost", bound=bound)
    fit = [cost for noise, cost in tried(options) if noise <= bound]
    assert found.within == bool(fit)
    assert totals(options, found) == (found.noise, found.cost)
    if fit:
        assert found.noise <= bound
        assert found.cost == min(fit)
    else:
        assert found.noise == min(noise for noise, _ in tried(options))


@settings(deadline=None)  # the first call imports scipy
@given(programmes, numbers.map(lambda number: 2 * number))
def test_the_least_noise_within_a_bound_of_cost_is_found(options, bound):
    found = mix(options, least="noise", bound=bound)
    fit = [noise for noise, cost in tried(options) if cost <= bound]
    assert found.within == bool(fit)
    if fit:
        assert found.cost <= bound
        assert found.noise == min(fit)
    else:
        assert found.cost == min(cost for _, cost in tried(options))
