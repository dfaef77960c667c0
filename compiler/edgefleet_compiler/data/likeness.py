"""Whether a calibration set is like the validation set: a two-sample test over plain features of the inputs.

Of each case and input: the mean, the standard deviation and the skewness of its elements, and of each of up to four
equal parts along each axis (the colours of a picture, its top and bottom) how far its mean is from that of all. Each
feature is compared by the test of Kolmogorov and Smirnov (p value by Stephens 1970, "Use of the Kolmogorov-Smirnov,
Cramer-von Mises and related statistics without extensive tables"). The level of the test is divided by the number of
features (Bonferroni), so that all together raise a false alarm at most once in a thousand compilations. As cases are
bounded, so is what the test can see: a difference is told when it is large, not only because there are many cases.

It sees another scale, offset, inversion, order of colours or axes, or exposure. It does not see what leaves these
features alone: pictures mirrored left to right, wrong labels, or classes that are missing but look alike on average,
of which some single classes of CIFAR-10 are an example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.data.dataset import DataSet

CASES = 250
"""Cases compared of each set; of more, as many evenly spread ones."""

_LEVEL = 0.001
_PARTS = 4
_EXTENT = 64  # places along an axis; of more, about as many evenly spread ones, so that large inputs cost no more
_MOMENTS = ("its mean", "its spread", "its skewness")
_TERMS = np.arange(1, 101)

Floats = NDArray[np.float64]


def unlike(calibration: DataSet, validation: DataSet, on_case: Callable[[], None] = lambda: None) -> list[str]:
    """Compare the inputs of two data sets, each read once.

    Args:
        calibration: What activations were calibrated with.
        validation: What accuracy is measured on.
        on_case: Called after each of ``cases_compared``.

    Returns:
        For each input that differs a warning with the feature that differs most, the statistic, and what to do. Inputs
        that are the same in every case of the calibration set are left to ``variety``.

    Raises:
        DataMalformed: A case cannot be used.
    """
    if calibration.sha256 == validation.sha256:
        return []
    first, second = _features(calibration, on_case), _features(validation, on_case)
    limit = _LEVEL / sum(len(features) for features in first.values())
    varying = [name for name in first if any(np.ptp(values) > 0 for values in first[name].values())]
    found = {name: _greatest(first[name], second[name]) for name in varying}
    return [_told(name, difference, limit) for name, difference in found.items() if difference.p < limit]


def cases_compared(calibration: DataSet, validation: DataSet) -> int:
    """How many cases of both sets together ``unlike`` looks at."""
    return len(calibration.spread(CASES)) + len(validation.spread(CASES))


@dataclass(frozen=True)
class _Difference:
    """Two samples of a feature, compared.

    Attributes:
        feature: Which, in words.
        statistic: The largest distance of their distribution functions, 0 to 1.
        p: The chance of such a distance between samples of one distribution.
        cases: How many each sample has.
        medians: Of each sample.
    """

    feature: str
    statistic: float
    p: float
    cases: tuple[int, int]
    medians: tuple[float, float]


def _told(name: str, difference: _Difference, limit: float) -> str:
    (n, m), (first, second) = difference.cases, difference.medians
    return (
        f"The calibration set is unlike the validation set: in the input {name!r}, {difference.feature} differs, with "
        f"medians {first:.4g} and {second:.4g} (Kolmogorov-Smirnov over {n} and {m} cases: D = "
        f"{difference.statistic:.2f}, p = {max(difference.p, 1e-99):.0e}, where {limit:.0e} is the limit). Prepare "
        "both sets alike (scale, normalisation, order of axes and colours), and let both have all kinds of cases."
    )


def _greatest(first: Mapping[str, Floats], second: Mapping[str, Floats]) -> _Difference:
    differences = [_compare(feature, first[feature], second[feature]) for feature in first]
    return min(differences, key=lambda difference: (difference.p, -difference.statistic))


def _compare(feature: str, first: Floats, second: Floats) -> _Difference:
    places = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(sample), places, side="right") / len(sample) for sample in (first, second)]
    statistic = float(np.abs(shares[0] - shares[1]).max())
    medians = float(np.median(first)), float(np.median(second))
    return _Difference(
        feature, statistic, _chance(statistic, len(first), len(second)), (len(first), len(second)), medians
    )


def _chance(statistic: float, first: int, second: int) -> float:
    """The p value, by Kolmogorov's limiting distribution with Stephens's correction for small samples."""
    root = math.sqrt(first * second / (first + second))
    scaled = (root + 0.12 + 0.11 / root) * statistic
    if scaled < 0.3:  # the series hardly converges, and the value is 1 to five places
        return 1.0
    terms = (-1.0) ** (_TERMS - 1) * np.exp(-2 * (_TERMS * scaled) ** 2)
    return float(np.clip(2 * terms.sum(), 0.0, 1.0))


def _features(data: DataSet, on_case: Callable[[], None]) -> dict[str, dict[str, Floats]]:
    """The features of each input over cases, by the name of the input, then of the feature."""
    rows: dict[str, list[Floats]] = {}
    parts: dict[str, tuple[list[str], Floats]] = {}
    for _, sample in data.chosen(data.spread(CASES)):
        for name, value in sample.items():
            thinned = value[tuple(slice(None, None, -(-extent // _EXTENT)) for extent in value.shape)]
            if name not in parts:
                parts[name] = _parts(thinned.shape)
            rows.setdefault(name, []).append(_features_of(thinned.ravel().astype(np.float64), parts[name][1]))
        on_case()
    return {
        name: dict(
            zip(["its mean", "its spread", "its skewness", *parts[name][0]], np.stack(each, axis=1), strict=True)
        )
        for name, each in rows.items()
    }


def _features_of(elements: Floats, parts: Floats) -> Floats:
    mean = elements.mean()
    apart = elements - mean
    squares = apart * apart
    spread = math.sqrt(squares.mean())
    skewness = float(squares @ apart) / (len(apart) * spread**3) if spread > 0 else 0.0
    return np.concatenate([[mean, spread, skewness], parts @ apart])


def _parts(shape: tuple[int, ...]) -> tuple[list[str], Floats]:
    """The parts along each axis: in words, and as factors of the elements whose products sum to means."""
    names, factors = [], []
    for axis, extent in enumerate(shape):
        places = np.arange(extent).reshape([-1 if other == axis else 1 for other in range(len(shape))])
        count = min(extent, _PARTS) if extent > 1 else 0
        for part in range(count):
            inside = np.broadcast_to(places * count // extent == part, shape).ravel()
            names.append(f"the mean of part {part + 1} of {count} along axis {axis}, less that of all,")
            factors.append(inside / inside.sum())
    return names, np.array(factors).reshape(len(names), math.prod(shape))
