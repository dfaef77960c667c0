"""Methods that find ranges, against exhaustive search over raw values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.quantise.calibration.entropy import LEFT_OUT, Divergence, entropy_range
from edgefleet_compiler.quantise.calibration.histogram import Histogram
from edgefleet_compiler.quantise.calibration.least_squares import least_squares_range
from edgefleet_compiler.quantise.calibration.methods import range_by
from edgefleet_compiler.quantise.parameters import parameters_of_range
from edgefleet_compiler.quantise.settings import Method
from support.observations import seen

RANDOM = np.random.default_rng(0)
DRAWN = {
    "normal": RANDOM.normal(size=20_000),
    "rectified": np.maximum(RANDOM.normal(size=20_000), 0),
    "laplacian": RANDOM.laplace(0.3, 1, size=20_000),
    "uniform": RANDOM.uniform(-1, 3, size=20_000),
    "one rare value": np.append(np.abs(RANDOM.normal(size=20_000)), 60.0),
    "one channel apart": np.concatenate([RANDOM.normal(size=19_000), RANDOM.normal(40, 1, size=1_000)]),
    "negative": -RANDOM.exponential(size=20_000),
    "lopsided": np.concatenate([RANDOM.normal(size=15_000), RANDOM.exponential(5, size=5_000)]),
}
WHOLE_NUMBERS = RANDOM.integers(0, 256, size=20_000).astype(np.float64)


def ends(method: str, values: NDArray[np.floating], bits: int = 8) -> tuple[float, float]:
    found = range_by(Method.parse(method), seen(values), bits)
    return found.low, found.high


def mean_squared_error(values: NDArray[np.floating], low: float, high: float, bits: int = 8) -> float:
    """Of a quantiser, value by value."""
    scale = (high - low) / (2**bits - 1)
    zero_point = np.rint(-low / scale)
    stored = np.clip(np.rint(values / scale) + zero_point, 0, 2**bits - 1)
    return float(np.mean((values - (stored - zero_point) * scale) ** 2))


def least_error(values: NDArray[np.floating], bits: int) -> float:
    """The least error of any range whose ends are 36 shares of the extremes."""
    shares = np.append(np.geomspace(0.05, 1, 36), 0.0)
    lows, highs = np.unique(shares * min(values.min(), 0)), np.unique(shares * max(values.max(), 0))
    return min(mean_squared_error(values, low, high, bits) for low in lows for high in highs if low < high)


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize("name", DRAWN)
def test_mse_is_within_two_percent_of_exhaustive_search_over_the_values(name: str, bits: int) -> None:
    values = DRAWN[name][-2000:] if name == "one rare value" else DRAWN[name][::10]
    found = mean_squared_error(values, *ends("mse", values, bits), bits)
    assert found <= 1.02 * least_error(values, bits)


def test_mse_keeps_whole_numbers_that_integers_store_exactly() -> None:
    assert mean_squared_error(WHOLE_NUMBERS, *ends("mse", WHOLE_NUMBERS)) < 1e-3


def test_mse_looks_for_both_ends_apart() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate([random.uniform(-1, 0, 10_000), np.abs(random.normal(size=10_000))])
    low, high = ends("mse", values, bits=4)
    assert low == pytest.approx(-1, abs=0.1)
    assert high < 3 < values.max()


def test_sixteen_bits_have_no_reason_to_saturate() -> None:
    values = DRAWN["normal"]
    low, high = ends("mse", values, bits=16)
    assert high - low == pytest.approx(np.ptp(values), rel=0.02)
    assert ends("entropy", values, bits=16) == ends("min-max", values)


def coarse(values: NDArray[np.floating], bins: int) -> Histogram:
    """A histogram of few bins, so that all ranges can be tried."""
    width = 2.0 ** np.ceil(np.log2(np.abs(values).max() / bins))
    numbers = np.floor(values[values != 0] / width).astype(int)
    counts = np.bincount(numbers - numbers.min()).astype(np.float64)
    return Histogram(width, int(numbers.min()), counts, int((values == 0).sum()))


def divergence(histogram: Histogram, low: float, high: float, bits: int) -> float:
    """Kullback and Leibler's divergence, bin by bin, as the definition has it."""
    counts, steps = histogram.counts, 2**bits - 1
    scale = (high - low) / steps
    zero_point = np.rint(-low / scale)
    middles = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    levels = np.floor(middles / scale + zero_point + 0.5)
    within = np.flatnonzero((levels >= 0) & (levels <= steps) & (counts > 0))
    reference, candidate = np.zeros_like(counts), np.zeros_like(counts)
    reference[within] = counts[within]
    reference[within[0]] += counts[: within[0]].sum()
    reference[within[-1]] += counts[within[-1] + 1 :].sum()
    for level in np.unique(levels[within]):
        cells = within[levels[within] == level]
        candidate[cells] = counts[cells].mean()
    if counts[within].sum() < (1 - LEFT_OUT) * counts.sum():
        return np.inf
    p, q = reference[within] / reference.sum(), candidate[within] / candidate.sum()
    return float((p * np.log(p / q)).sum())


@pytest.mark.parametrize("name", DRAWN)
def test_divergences_are_those_of_the_definition(name: str) -> None:
    histogram = coarse(DRAWN[name], 200)
    low, high = min(float(histogram.edges[0]), 0.0), max(float(histogram.edges[-1]), 0.0)
    shares = np.random.default_rng(1).uniform(0.5, 1, size=(2, 40))  # of which no middle of a bin ends halfway
    lows, highs = low * shares[0], high * shares[1]
    found = Divergence(histogram, 4).of_ranges(lows, highs)
    wanted = [divergence(histogram, *ends, 4) for ends in zip(lows, highs, strict=True)]
    assert found == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", DRAWN)
def test_entropy_is_near_the_least_divergence_of_all_ranges(name: str) -> None:
    histogram = coarse(DRAWN[name], 64)
    low, high = min(float(histogram.edges[0]), 0.0), max(float(histogram.edges[-1]), 0.0)
    lows, highs = np.arange(low, histogram.width / 2, histogram.width), np.arange(high, -1e-9, -histogram.width)
    candidates = [(a, b) for a in lows for b in highs if b - a >= 16 * histogram.width]
    least = min(divergence(histogram, *candidate, 4) for candidate in candidates)
    found = divergence(histogram, *entropy_range(histogram, low, high, 4), 4)
    assert found <= 1.1 * least


def test_entropy_leaves_out_a_rare_value_as_min_max_does_not() -> None:
    values = DRAWN["one rare value"]
    assert ends("min-max", values)[1] == 60
    assert 2 < ends("entropy", values)[1] < 20


def test_entropy_of_a_normal_distribution_is_narrower_than_min_max() -> None:
    low, high = ends("entropy", DRAWN["normal"])
    assert -3.9 < low < -2
    assert 2 < high < 3.9


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("percent", [90.0, 99.0, 99.9])
def test_percentiles_are_those_of_the_values_to_a_bin(name: str, percent: float) -> None:
    values = DRAWN[name]
    low, high = ends(f"percentile {percent}", values)
    histogram = seen(values).histogram
    assert histogram is not None
    width, left_out = histogram.width, len(values) * (100 - percent) / 200
    if high > 0:
        assert (values > high + width).sum() <= left_out <= (values > high - width).sum() + 1
    else:
        assert (values > 0).sum() <= left_out
    if low < 0:
        assert (values < low - width).sum() <= left_out <= (values < low + width).sum() + 1
    else:
        assert (values < 0).sum() <= left_out


def test_the_hundredth_percentile_is_min_max() -> None:
    assert ends("percentile 100", DRAWN["normal"]) == ends("min-max", DRAWN["normal"])


@pytest.mark.parametrize("method", ["min-max", "percentile 99", "mse", "entropy"])
def test_a_factor_multiplies_both_ends(method: str) -> None:
    low, high = ends(method, DRAWN["lopsided"])
    assert ends(f"{method} x 0.5", DRAWN["lopsided"]) == (low / 2, high / 2)


@pytest.mark.parametrize("method", ["min-max", "percentile 99", "mse", "entropy"])
def test_what_is_zero_throughout_has_a_range_of_nothing(method: str) -> None:
    assert ends(method, np.zeros(100)) == (0.0, 0.0)


@pytest.mark.parametrize("method", ["min-max", "percentile 99", "mse", "entropy"])
@pytest.mark.parametrize("value", [3.0, -3.0, 1e-30, 3e38])
def test_what_is_the_same_throughout_keeps_its_value(method: str, value: float) -> None:
    low, high = ends(method, np.full(100, value))
    assert (low, high) == pytest.approx((min(value, 0), max(value, 0)), rel=2e-3)
    assert parameters_of_range(low, high).scale > 0


def test_least_squares_of_the_histogram_of_other_cases_stays_within_what_was_seen() -> None:
    histogram = seen(DRAWN["normal"]).histogram
    assert histogram is not None
    low, high = least_squares_range(histogram, -100.0, 100.0, 8)
    assert -5 < low < -2
    assert 2 < high < 5


def test_entropy_keeps_the_whole_range_of_values_too_few_to_tell_distributions() -> None:
    values = DRAWN["normal"][:400]
    assert ends("entropy", values) == ends("min-max", values)


def test_entropy_leaves_out_little_even_where_most_values_are_alike() -> None:
    values = np.concatenate([np.full(10_000, 0.01), np.random.default_rng(1).uniform(0, 1, 3_000)])
    assert (values > ends("entropy", values)[1]).mean() <= 0.011


def test_entropy_knows_nothing_of_values_that_no_histogram_counted() -> None:
    histogram = seen(DRAWN["normal"]).histogram
    assert histogram is not None
    assert entropy_range(histogram, -1e6, 1e6, 16) == (-1e6, 1e6)
    low, high = entropy_range(histogram, -1e6, 1e6, 8)
    assert -5 < low < -2
    assert 2 < high < 5
