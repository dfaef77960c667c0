"""Sketches of inputs: histograms over bins that the bundle's reference fixes, so that windows and devices merge by sum.

Drift of a feature is the population stability index (PSI) between reference and sketch. Two conditions make a verdict
honest: enough *effective* samples (serial correlation makes neighbours repeat each other), and a PSI above both a
size that matters and what chance alone would give with samples this few.

Sources: PSI and its null distribution, Yurdakul, "Statistical Properties of Population Stability Index" (2018):
PSI * n*m/(n+m) is asymptotically chi-squared with (bins - 1) degrees of freedom. Effective sample size of an AR(1)
series, n(1-rho)/(1+rho): Bayley and Hammersley (1946). Chi-squared quantile: Wilson and Hilferty (1931).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain
from statistics import NormalDist

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.errors import BundleMalformed, MessageMalformed

VERSION = 1
REFERENCE_LIMIT = 1024 * 1024  # bytes
FEATURES_LIMIT = 128
BINS_LIMIT = 64

MIN_EFFECTIVE_SAMPLES = 400
MIN_PSI = 0.1  # the smallest shift that is worth a person's time
FAMILY_ERROR = 1e-4  # chance of a false verdict over all features of one comparison


class FeatureReference(msgspec.Struct, frozen=True):
    """One feature as the calibration set has it.

    Attributes:
        name: For people: "x[12]", "x mean of rows 0-7, columns 0-7, channel 0".
        edges: Ascending; bin i holds the values v with exactly i edges <= v, so there is one bin more than edges.
            The first and the last bin hold what the calibration set never showed.
        counts: Of the calibration set, one a bin.
    """

    name: str
    edges: list[float]
    counts: list[int]


class Extraction(msgspec.Struct, frozen=True):
    """How the features of one input come from its values; see ``features``.

    Attributes:
        input: Name of the model's input.
        kind: "elements", "grid" or "segments".
        parts: Grid: rows, columns, channels. Segments: their number. Elements: their number.
        axes: The input's axes as in the manifest.
    """

    input: str
    kind: str
    parts: list[int]
    axes: str = ""


class Reference(msgspec.Struct, frozen=True):
    """The sketch of expected inputs that travels in the bundle.

    Attributes:
        n: Samples of the calibration set.
        extractions: In the order in which their features stand in ``features``.
    """

    v: int
    n: int
    extractions: list[Extraction]
    features: list[FeatureReference]


class Sketch(msgspec.Struct, frozen=True):
    """Histograms of a window over a reference's bins.

    Attributes:
        reference: SHA-256 of the reference file whose bins these are; sketches of different ones do not merge.
        n: Samples.
        rho: Lag-1 autocorrelation of the samples (median over the features), -1 to 1.
        counts: One list a feature, one count a bin.
    """

    reference: str
    n: int
    rho: float
    counts: list[list[int]]


class FeatureDrift(msgspec.Struct, frozen=True):
    """PSI of one feature, and the threshold that it was held against."""

    name: str
    psi: float
    threshold: float


class Comparison(msgspec.Struct, frozen=True):
    """The verdict on a sketch.

    Attributes:
        effective_samples: After serial correlation.
        enough: Whether they suffice for a verdict; if not, ``drifted`` says nothing.
        drifted: Features over their threshold, the worst first.
        worst: The feature with the largest PSI; None without features.
    """

    effective_samples: float
    enough: bool
    drifted: list[FeatureDrift]
    worst: FeatureDrift | None


def decode_reference(data: bytes) -> Reference:
    """Parse and check a reference.

    Raises:
        BundleMalformed: No reference, an unknown version, or bins that contradict themselves.
    """
    reference = canonical.decode(data, Reference, what="reference sketch", limit=REFERENCE_LIMIT, error=BundleMalformed)
    if reference.v != VERSION:
        raise BundleMalformed(f"The reference sketch has version {reference.v}", expected=str(VERSION))
    if len(reference.features) > FEATURES_LIMIT:
        raise BundleMalformed(
            f"The reference sketch has {len(reference.features)} features", expected=f"at most {FEATURES_LIMIT}"
        )
    for feature in reference.features:
        ascending = all(low < high for low, high in zip(feature.edges, feature.edges[1:], strict=False))
        if not ascending or len(feature.counts) != len(feature.edges) + 1 or len(feature.counts) > BINS_LIMIT:
            raise BundleMalformed(f"The bins of feature {feature.name!r} contradict themselves")
    return reference


def bin_of(feature: FeatureReference, value: float) -> int:
    """The bin that ``value`` falls into; NaN counts as never seen, in the last one."""
    return len(feature.edges) if math.isnan(value) else bisect_right(feature.edges, value)


def check_sketch(sketch: Sketch, reference: Reference) -> None:
    """Refuse a sketch that this reference's bins do not explain; devices can lie.

    Raises:
        MessageMalformed: Its shape or its sums are impossible.
    """
    shapes_fit = [len(counts) for counts in sketch.counts] == [len(feature.counts) for feature in reference.features]
    sums_fit = all(total == sketch.n for total in map(sum, sketch.counts))
    sums_fit = sums_fit and min(chain.from_iterable(sketch.counts), default=0) >= 0
    if not shapes_fit or not sums_fit or not -1 <= sketch.rho <= 1:
        raise MessageMalformed("A sketch does not fit its reference", expected="one count a bin, summing to n")


def merge(sketches: Sequence[Sketch]) -> Sketch:
    """The sketch of all windows together; associative, and commutative.

    Raises:
        ValueError: None given, or over different references.
    """
    if not sketches or len({sketch.reference for sketch in sketches}) != 1:
        raise ValueError("only sketches over one reference merge")
    total = sum(sketch.n for sketch in sketches)
    rho = sum(sketch.rho * sketch.n for sketch in sketches) / total if total else 0.0
    counts = [
        list(map(sum, zip(*feature, strict=True)))
        for feature in zip(*(sketch.counts for sketch in sketches), strict=True)
    ]
    return Sketch(sketches[0].reference, total, rho, counts)


def compare(reference: Reference, sketch: Sketch) -> Comparison:
    """Hold a sketch against its reference; the rule is in the module's docstring."""
    effective = effective_samples(sketch.n, sketch.rho)
    error = FAMILY_ERROR / max(1, len(reference.features))  # Bonferroni: the family is this comparison's features
    drifts = sorted(
        (
            FeatureDrift(feature.name, psi(feature.counts, counts), threshold(feature, reference.n, effective, error))
            for feature, counts in zip(reference.features, sketch.counts, strict=True)
        ),
        key=lambda drift: -drift.psi,
    )
    enough = effective >= MIN_EFFECTIVE_SAMPLES
    drifted = [drift for drift in drifts if drift.psi >= drift.threshold]
    return Comparison(effective, enough, drifted if enough else [], drifts[0] if drifts else None)


def effective_samples(n: int, rho: float) -> float:
    """How many independent samples ``n`` correlated ones are worth: n(1-rho)/(1+rho), at most n."""
    bounded = min(max(rho, 0.0), 0.999)
    return n * (1 - bounded) / (1 + bounded)


def psi(expected: Sequence[int], observed: Sequence[int]) -> float:
    """Population stability index, with half a count added to each bin so that empty bins stay finite."""
    bins = len(expected)
    expected_total = sum(expected) + bins / 2
    observed_total = sum(observed) + bins / 2
    total = 0.0
    for expected_count, observed_count in zip(expected, observed, strict=True):
        p, q = (expected_count + 0.5) / expected_total, (observed_count + 0.5) / observed_total
        total += (q - p) * math.log(q / p)
    return total


def threshold(feature: FeatureReference, reference_samples: int, effective: float, error: float) -> float:
    """The larger of :data:`MIN_PSI` and the PSI that chance alone exceeds with probability ``error``."""
    degrees = max(1, len(feature.counts) - 1)
    noise = chi_squared_quantile(1 - error, degrees) * (1 / max(1, reference_samples) + 1 / max(1.0, effective))
    return max(MIN_PSI, noise)


def chi_squared_quantile(probability: float, degrees: int) -> float:
    """Quantile of the chi-squared distribution by the Wilson-Hilferty cube-root approximation (within 1 % here)."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + NormalDist().inv_cdf(probability) * math.sqrt(spread)) ** 3)
