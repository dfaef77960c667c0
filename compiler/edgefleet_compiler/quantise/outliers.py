"""Outlier channels: a few that reach so far that all others of their activation are left with a few steps of int8.

That a channel reaches far is no fault as long as the weights that read it make use of that. The mark of an outlier is
that they do not: multiply a channel by f and divide its weights by f, and its span over their strength grows by f**2
while the model stays the same. So channels are compared by ``excess``, the root of that quotient over its median.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.quantise.balance import Floats, Group, Value, groups_of, power_of_two
from edgefleet_compiler.quantise.calibration.observe import Observations
from edgefleet_compiler.quantise.channels import track

_LEAST_EXCESS = 6.0
"""Where a range hangs on it, channels of sound models stay below 5; a typical channel times ten comes to 10."""

_LEAST_GAIN = 2.0
"""One bit: by how much the range has to shrink without the outliers."""

_MOST_OUTLIERS = 32
"""One channel in so many at most, but two of few: where more stand out, they are no outliers, or the cases are."""

_FEWEST_CHANNELS = 4
"""Below this a median says nothing."""


@dataclass(frozen=True)
class Outlier:
    """One channel.

    Attributes:
        activation: Name of the value.
        channel: Its place on the axis of the channels.
        span: High minus low.
        usual_span: The median of the channels that are ever other than zero.
        excess: How many times further it reaches than its weights make up for.
        shrinks: How many times smaller the range of the activation is without its outliers.
    """

    activation: str
    channel: int
    span: float
    usual_span: float
    excess: float
    shrinks: float


def find_outliers(hub: ir.Model, seen: Observations) -> list[Outlier]:
    """The outlier channels of a float hub, in the order of the graph."""
    return [
        outlier
        for group in groups_of(track(hub.graph), seen.activations)
        for value in group.values
        for outlier in _outliers(group, value)
    ]


def outlier_scales(group: Group) -> Floats:
    """Scales that bring the outliers of a group to what its other channels are like, and leave these as they are."""
    exponents: dict[int, list[float]] = {}
    for value in group.values:
        for outlier in _outliers(group, value):
            exponents.setdefault(int(value.places[outlier.channel]), []).append(float(np.log2(outlier.excess)))
    scales = np.ones(group.classes.size)
    for place, found in exponents.items():
        scales[place] = 2.0 ** np.mean(found)
    return power_of_two(scales)


def _outliers(group: Group, value: Value) -> list[Outlier]:
    strengths, spans = group.weights()[value.places], value.high - value.low
    return outliers_among(value.name, spans, np.where(value.places < group.classes.size, strengths, 0.0))


def outliers_among(activation: str, spans: Floats, strengths: Floats) -> list[Outlier]:
    """The outliers among the channels of one activation.

    Args:
        activation: Its name.
        spans: High minus low of each channel, zero included.
        strengths: How strongly the weights read each; channels that none reads are left alone.
    """
    alive = (spans > 0) & (strengths > 0)
    if alive.sum() < _FEWEST_CHANNELS:
        return []
    quotients = np.divide(spans, strengths, out=np.zeros_like(spans), where=alive)
    excess = np.sqrt(quotients / np.median(quotients[alive]))
    outlying = excess >= _LEAST_EXCESS
    shrinks = float(spans.max() / spans[~outlying].max(initial=0.0)) if (spans[~outlying] > 0).any() else 0.0
    if shrinks < _LEAST_GAIN or outlying.sum() > max(2, alive.sum() // _MOST_OUTLIERS):
        return []
    usual = float(np.median(spans[alive]))
    return [
        Outlier(activation, channel, float(spans[channel]), usual, float(excess[channel]), shrinks)
        for channel in np.flatnonzero(outlying).tolist()
    ]
