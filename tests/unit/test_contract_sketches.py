"""Drift: PSI with honest thresholds, effective samples, merging windows, features of inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgefleet_contract import canonical, features, sketches
from edgefleet_contract.errors import BundleMalformed, MessageMalformed
from edgefleet_contract.sketches import Extraction, FeatureReference, Reference, Sketch

EDGES = [float(edge) for edge in np.quantile(np.random.default_rng(0).normal(size=4000), np.linspace(0, 1, 11))]


def reference_of(samples: np.ndarray) -> Reference:
    described = [
        FeatureReference(
            f"x[{index}]", EDGES, np.bincount(np.searchsorted(EDGES, column, "right"), minlength=12).tolist()
        )
        for index, column in enumerate(samples.T)
    ]
    return Reference(1, len(samples), [Extraction("x", "elements", [samples.shape[1]])], described)


def sketch_of(reference: Reference, samples: np.ndarray, rho: float = 0.0) -> Sketch:
    counts = [[0] * len(feature.counts) for feature in reference.features]
    for row in samples:
        for index, value in enumerate(row):
            counts[index][sketches.bin_of(reference.features[index], float(value))] += 1
    return Sketch("r", len(samples), rho, counts)


def test_the_same_distribution_is_not_called_drift_in_many_comparisons_of_many_features() -> None:
    generator = np.random.default_rng(1)
    reference = reference_of(generator.normal(size=(600, 64)))
    for _ in range(40):
        comparison = sketches.compare(reference, sketch_of(reference, generator.normal(size=(400, 64))))
        assert comparison.enough
        assert comparison.drifted == []


def test_a_shift_of_half_a_deviation_is_found_once_samples_suffice() -> None:
    generator = np.random.default_rng(2)
    reference = reference_of(generator.normal(size=(600, 8)))
    shifted = generator.normal(size=(500, 8))
    shifted[:, 3] += 0.6
    comparison = sketches.compare(reference, sketch_of(reference, shifted))
    assert [drift.name for drift in comparison.drifted] == ["x[3]"]


def test_too_few_or_too_alike_samples_give_no_verdict() -> None:
    generator = np.random.default_rng(3)
    reference = reference_of(generator.normal(size=(600, 2)))
    far = generator.normal(size=(399, 2)) + 5
    assert not sketches.compare(reference, sketch_of(reference, far)).enough
    correlated = sketch_of(reference, generator.normal(size=(2000, 2)) + 5, rho=0.9)
    assert sketches.compare(reference, correlated).effective_samples == pytest.approx(105.26, abs=0.01)
    assert sketches.compare(reference, correlated).drifted == []


def test_merging_is_summing_whatever_the_order() -> None:
    generator = np.random.default_rng(4)
    reference = reference_of(generator.normal(size=(100, 3)))
    parts = [sketch_of(reference, generator.normal(size=(n, 3)), rho) for n, rho in ((10, 0.1), (20, 0.2), (30, 0.3))]
    whole = sketches.merge(parts)
    assert whole.n == 60
    assert whole.rho == pytest.approx((1 + 4 + 9) / 60)
    assert sketches.merge([sketches.merge(parts[:2]), parts[2]]).counts == whole.counts
    assert sketches.merge(parts[::-1]).counts == whole.counts
    with pytest.raises(ValueError, match="one reference"):
        sketches.merge([parts[0], Sketch("other", 1, 0, parts[0].counts)])


def test_the_psi_of_equal_shares_is_zero_and_grows_with_the_shift() -> None:
    assert sketches.psi([100, 100], [100, 100]) == pytest.approx(0)
    assert 0 < sketches.psi([100, 100], [110, 90]) < sketches.psi([100, 100], [150, 50])
    # (0.75-0.5)*ln(1.5) + (0.25-0.5)*ln(0.5), as counts grow and the half counts fade.
    assert sketches.psi([10**9, 10**9], [3 * 10**9, 10**9]) == pytest.approx(0.25 * math.log(1.5) + 0.25 * math.log(2))


@pytest.mark.parametrize(
    ("probability", "degrees", "exact"), [(0.95, 9, 16.919), (0.99, 11, 24.725), (0.999, 20, 45.315)]
)
def test_chi_squared_quantiles_are_within_one_percent_of_the_tables(
    probability: float, degrees: int, exact: float
) -> None:
    assert sketches.chi_squared_quantile(probability, degrees) == pytest.approx(exact, rel=0.01)


def test_values_the_calibration_set_never_showed_have_bins_of_their_own() -> None:
    feature = FeatureReference("x", [0.0, math.nextafter(0.0, 1)], [0, 5, 0])
    assert [sketches.bin_of(feature, value) for value in (-1, 0, 3, math.nan, math.inf)] == [0, 1, 2, 2, 2]


@pytest.mark.attack
@pytest.mark.parametrize(
    "lie",
    [
        Sketch("r", 3, 0, [[1, 1, 2]]),
        Sketch("r", 3, 0, [[1, 2]]),
        Sketch("r", 3, 0, []),
        Sketch("r", 3, 0, [[-1, 2, 2]]),
        Sketch("r", 3, 2, [[1, 1, 1]]),
    ],
)
def test_a_sketch_that_cannot_be_is_refused(lie: Sketch) -> None:
    reference = Reference(1, 3, [], [FeatureReference("x", [0.0, 1.0], [1, 1, 1])])
    with pytest.raises(MessageMalformed):
        sketches.check_sketch(lie, reference)
    sketches.check_sketch(Sketch("r", 3, 0, [[1, 1, 1]]), reference)


@pytest.mark.attack
@pytest.mark.parametrize(
    "feature",
    [
        FeatureReference("x", [1.0, 0.0], [1, 1, 1]),
        FeatureReference("x", [0.0, 0.0], [1, 1, 1]),
        FeatureReference("x", [0.0], [1, 1, 1]),
        FeatureReference("x", [float(i) for i in range(100)], [0] * 101),
    ],
)
def test_a_reference_with_impossible_bins_is_refused(feature: FeatureReference) -> None:
    with pytest.raises(BundleMalformed):
        sketches.decode_reference(canonical.encode(Reference(1, 1, [], [feature])))


def test_a_small_input_is_its_own_features() -> None:
    extraction = features.plan("x", (1, 8, 8, 1), "NHWC")
    values = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)
    assert extraction.kind == "elements"
    assert features.extract(extraction, values) == list(range(64))
    assert len(features.names(extraction)) == 64


@pytest.mark.parametrize("axes", ["NHWC", "NCHW"])
def test_an_image_becomes_the_means_of_a_grid_whatever_its_axes(axes: str) -> None:
    image = np.random.default_rng(5).normal(size=(1, 10, 9, 3)).astype(np.float32)
    source = image if axes == "NHWC" else image.transpose(0, 3, 1, 2)
    extraction = features.plan("x", source.shape, axes)
    got = features.extract(extraction, source)
    expected = [
        image[0, r * 10 // 4 : (r + 1) * 10 // 4, c * 9 // 4 : (c + 1) * 9 // 4, channel].mean()
        for channel in range(3)
        for r in range(4)
        for c in range(4)
    ]
    assert got == pytest.approx(expected, abs=1e-6)
    assert len(features.names(extraction)) == len(got) == 48


def test_another_tensor_becomes_the_means_of_segments() -> None:
    extraction = features.plan("x", (1, 1000), "")
    assert extraction.kind == "segments"
    got = features.extract(extraction, np.ones((1, 1000), np.float32))
    assert got == [1.0] * 64
    assert len(features.names(extraction)) == 64


@pytest.mark.parametrize("axes", ["NCHW", "NHWC", ""])
def test_a_batch_of_several_images_is_followed_in_segments(axes: str) -> None:
    values = np.random.default_rng(0).normal(size=(4, 8, 8, 8))
    extraction = features.plan("images", values.shape, axes)
    assert (extraction.kind, extraction.parts) == ("segments", [64])
    np.testing.assert_allclose(features.extract(extraction, values), values.reshape(64, -1).mean(axis=1))  # type: ignore[arg-type]
