"""One pass of a calibration set through a float hub: what each activation was seen to be.

Samples stream through; memory does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import activations, name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.calibration.cases import Extremes
from edgefleet_compiler.quantise.calibration.histogram import GrowingHistogram, Histogram
from edgefleet_compiler.quantise.calibration.watch import Watch, watch
from edgefleet_compiler.quantise.placement import place
from edgefleet_contract.errors import DataMalformed

HISTOGRAM_CASES = 250
"""Cases that go into histograms; of more, as many evenly spread ones, because minima and maxima are far cheaper."""

Sample = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Observation:
    """What one activation was seen to be; equal to itself alone, so that what is found of it can be remembered.

    Attributes:
        low: Its smallest value over all cases, zero included.
        high: Its largest value, zero included.
        channel_lows: The smallest value of each channel, float32, shape (channels,): axis 1 of images, else the last.
        channel_highs: The largest value of each channel, likewise.
        channel_powers: The mean square of each channel, float64, likewise.
        reach: The largest magnitude of any case.
        reach_case: That case.
        second_reach: That of the case with the next largest, another case; as large where two cases tie.
        median_reach: The median over cases of the largest magnitude.
        histogram: Of its values, without those of cases and elements left out for speed; None if none was wanted.
    """

    low: float
    high: float
    channel_lows: NDArray[np.float32]
    channel_highs: NDArray[np.float32]
    channel_powers: NDArray[np.float64]
    reach: float
    reach_case: int
    second_reach: float
    median_reach: float
    histogram: Histogram | None


@dataclass(frozen=True)
class Observations:
    """What a calibration set showed.

    Attributes:
        cases: How many cases it has.
        activations: What was seen, by the activation's name in the hub, in the order of the graph.
        leading: How many of the cases widen the range of some activation, each alone, by more than ``cases.LEAD``.
    """

    cases: int
    activations: Mapping[str, Observation]
    leading: int

    @property
    def has_histograms(self) -> bool:
        """Whether histograms were taken."""
        return all(seen.histogram is not None for seen in self.activations.values())


def observe(
    model: ir.Model,
    samples: Iterable[Sample],
    on_sample: Callable[[int], None],
    *,
    histograms: bool = True,
    count: int | None = None,
) -> Observations:
    """Run a float hub over a calibration set and note every activation that needs a range.

    Args:
        model: In hub normal form; it is not changed.
        samples: One array per input by name, of the inputs' shapes and types.
        on_sample: Called after each sample with how many are done.
        histograms: Whether histograms are wanted; without them it is as fast as can be.
        count: How many samples there are, where that is known: it lets histograms pass over some of many.

    Raises:
        DataMalformed: There are no samples, or a value is NaN or infinite in one.
    """
    observed = {name_of(value) for value in place(model.graph).observed()}
    observer = _Observer(watch(model, observed, elements=histograms)) if observed else None
    every = 1 if count is None else -(-count // HISTOGRAM_CASES)
    done = 0
    for sample in samples:
        if observer is not None:
            observer.add(sample, in_histograms=histograms and done % every == 0)
        done += 1
        on_sample(done)
    if not done:
        raise DataMalformed("The calibration set has no rows", expected="at least one")
    return observer.result() if observer is not None else Observations(done, {}, 0)


class _Observer:
    """Adds up what a watched hub says."""

    def __init__(self, watched: Watch) -> None:
        self._watch = watched
        # Fused nodes would move behind the others, and values live longer.
        self._session = Session(watched.model, optimise=False)
        self._statistics = [watched.lows, watched.highs, watched.squares]
        self._extremes = Extremes(watched.starts)
        self._channel_lows: NDArray[np.float32] | None = None
        self._channel_highs: NDArray[np.float32] | None = None
        self._squares = np.zeros(len(watched.sizes))
        self._histograms = [GrowingHistogram() for _ in watched.elements]

    def add(self, sample: Sample, *, in_histograms: bool) -> None:
        wanted = self._statistics + (self._watch.elements if in_histograms else [])
        results = self._session.run(sample, wanted)
        lows, highs, squares = (results[name] for name in self._statistics)
        self._check_finite(lows, highs, squares)
        if self._channel_lows is None or self._channel_highs is None:
            self._channel_lows, self._channel_highs = lows.copy(), highs.copy()
        np.minimum(self._channel_lows, lows, out=self._channel_lows)
        np.maximum(self._channel_highs, highs, out=self._channel_highs)
        self._squares += squares
        reaches = self._extremes.add(lows, highs)
        if in_histograms:
            for histogram, name, reach in zip(self._histograms, self._watch.elements, reaches.tolist(), strict=True):
                histogram.add(results[name], reach)

    def _check_finite(
        self, lows: NDArray[np.float32], highs: NDArray[np.float32], squares: NDArray[np.float32]
    ) -> None:
        bad = ~(np.isfinite(lows) & np.isfinite(highs)) | np.isnan(squares)  # a sum may overflow where no value does
        if bad.any():
            index = int(np.searchsorted(self._watch.starts, int(bad.argmax()), side="right")) - 1
            raise self._not_finite(self._watch.names[index], self._extremes.cases)

    def _not_finite(self, name: str, row: int) -> DataMalformed:
        producer = next(value for value in activations(self._watch.model.graph) if value.name == name).producer()
        if producer is None:
            return DataMalformed(f"Row {row} of the input {name!r} holds NaN or infinity", expected="finite numbers")
        return DataMalformed(
            f"Row {row} makes the output {name!r} of the layer {producer.name!r} ({producer.op_type}) NaN or infinite",
            expected="finite numbers throughout the model",
            remedy="Check the row, and the layers before this one.",
            layer=producer.name or "",
            row=row,
        )

    def result(self) -> Observations:
        assert self._channel_lows is not None
        assert self._channel_highs is not None
        ends = self._watch.starts[1:]
        histograms: list[Histogram | None] = [histogram.result() for histogram in self._histograms]
        found = zip(
            self._watch.names,
            np.split(self._channel_lows, ends),
            np.split(self._channel_highs, ends),
            np.split(self._squares / (self._extremes.cases * self._watch.sizes), ends),
            self._extremes.reaches(),
            histograms or [None] * len(self._watch.names),
            strict=True,
        )
        return Observations(
            self._extremes.cases,
            {name: _observation(*figures) for name, *figures in found},
            self._extremes.leading(),
        )


def _observation(
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    powers: NDArray[np.float64],
    reaches: tuple[float, int, float, float],
    histogram: Histogram | None,
) -> Observation:
    low, high = min(float(lows.min()), 0.0), max(float(highs.max()), 0.0)
    return Observation(low, high, lows, highs, powers, *reaches, histogram)
