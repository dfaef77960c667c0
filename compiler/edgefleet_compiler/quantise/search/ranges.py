"""The method that each activation's range is found by, chosen by what it does to the model's outputs.

First one method for all: that with the least noise in the outputs when all is quantised. It is all that a plain int8
recipe has time for. The thorough choice then takes the activations one at a time, and tries methods and factors with
everything else in float: on its own, an activation shows differences that the noise of all others hides; and what is
gained about adds up, because the noises of different layers hardly correlate. Every other case is held out from that: a
change is kept only if it is a gain on these as well, and all changes only if they are one with everything quantised.

Source: search of ranges by the loss of the network, Nahshan et al. 2021 (LAPQ, arXiv:1911.07190), with the outputs'
noise for the loss, and one activation at a time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
import onnx_ir as ir

from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.quantise.calibration.observe import Observations, Sample
from edgefleet_compiler.quantise.parameters import IntegerType
from edgefleet_compiler.quantise.placement import Group
from edgefleet_compiler.quantise.search.candidates import Candidates, observed
from edgefleet_compiler.quantise.search.reference import Measure, Reference
from edgefleet_compiler.quantise.search.trial import Trial, pairs_of
from edgefleet_compiler.quantise.settings import Method, Settings

_NEGLIGIBLE = 0.01
"""A group with a smaller share of all noise is left as it is."""

_STEPS = (0.1, 0.05)
"""By how much factors are moved while that helps."""

_LEAST_FACTOR, _LARGEST_FACTOR = 0.4, 1.6

_SURE = 1.0
"""Standard errors of the mean over cases that a gain must reach; the less sure ones are mostly chance."""


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        cases: How many samples are worth giving.
        methods: The methods to begin with.
        singly: Whether single activations get methods of their own.
    """

    cases: int
    methods: tuple[str, ...]
    singly: bool


QUICK = Effort(32, ("min-max", "percentile 99.999", "percentile 99.99", "mse"), singly=False)
THOROUGH = Effort(128, (*QUICK.methods, "percentile 99.95"), singly=True)


def choose_ranges(
    hub: ir.Model,
    seen: Observations,
    samples: Iterable[Sample],
    settings: Settings,
    effort: Effort,
    activations: IntegerType = "int8",
) -> dict[str, str]:
    """Choose the method of each activation.

    Args:
        hub: A float hub in normal form.
        seen: What its activations were seen to be, with histograms.
        samples: Cases to measure on, about ``effort.cases``, spread evenly over the calibration set (``spread``).
        settings: What is asked for otherwise.
        effort: How much is tried.
        activations: The integers of the scheme.

    Returns:
        Words of ``Method`` by activation, for every activation whose range is observed.
    """
    candidates = Candidates(hub, seen, settings, activations)
    if not candidates.groups:
        return {}
    cases = list(samples)
    quantised = candidates.quantised(candidates.uniform("min-max"))
    trial = Trial(hub, quantised, Reference(hub, cases))
    noises = {word: trial.measure(candidates.parameters_by(word)).noise for word in effort.methods}
    best = min(effort.methods, key=lambda word: noises[word])
    chosen = candidates.uniform(best)
    if not effort.singly or len(cases) < 2:
        return chosen
    alone, held_out = (Trial(hub, quantised, Reference(hub, half), rounded=()) for half in (cases[::2], cases[1::2]))
    for search in _search_singly(candidates, alone, best, effort.methods):
        if search.gains_on(held_out):
            chosen.update(dict.fromkeys(observed(search.group), search.word))
    together = trial.measure(candidates.parameters_of(chosen)).noise
    return chosen if together < noises[best] else candidates.uniform(best)


def with_ranges(settings: Settings, words: dict[str, str]) -> Settings:
    """Settings with chosen methods: the commonest for all activations, the others named."""
    if not words:
        return settings
    commonest = Counter(words.values()).most_common(1)[0][0]
    named = {name: word for name, word in sorted(words.items()) if word != commonest}
    return msgspec.structs.replace(settings, calibration=commonest, ranges=named)


def _search_singly(candidates: Candidates, alone: Trial, start: str, words: Sequence[str]) -> list[_Search]:
    """A search for each group that matters."""
    searches = [_Search(candidates, alone, group, start) for group in candidates.groups]
    total = sum(search.noise for search in searches)
    searches = [search for search in searches if search.noise > _NEGLIGIBLE * total]
    for search in searches:
        search.run(words)
    return searches


class _Search:
    """For the method of one group, everything else being in float.

    Attributes:
        group: The group.
        word: The best method so far.
        noise: That of the method to begin with.
    """

    def __init__(self, candidates: Candidates, alone: Trial, group: Group, start: str) -> None:
        self._candidates, self._alone = candidates, alone
        self._pairs = pairs_of(alone.parameters, [name_of(value) for value in group.values])
        self._start = self.word = start
        self._tried = {start}
        self._least = self._measure(start, alone)
        self.noise = self._least.noise
        self.group = group

    def run(self, words: Sequence[str]) -> None:
        """Try the words, then factors on the best of them."""
        for word in words:
            self._try(word)
        for step in _STEPS:
            for direction in (-step, step):
                while self._try(_moved(self.word, direction)):
                    pass

    def gains_on(self, trial: Trial) -> bool:
        """Whether the method found has less noise on other cases, too."""
        return self._measure(self.word, trial).noise < self._measure(self._start, trial).noise

    def _try(self, word: str | None) -> bool:
        """Whether a method is better than the best so far; it is the best, then."""
        if word is None or word in self._tried:
            return False
        self._tried.add(word)
        measure = self._measure(word, self._alone)
        if not _surely_less(measure, self._least):
            return False
        self.word, self._least = word, measure
        return True

    def _measure(self, word: str, trial: Trial) -> Measure:
        parameters = self._candidates.parameters_by(word)
        return trial.measure_only({name: parameters[name] for name in self._pairs})


def _moved(word: str, by: float) -> str | None:
    """A method with its factor moved; None where that is too far."""
    method = Method.parse(word)
    factor = round(method.factor + by, 6)
    return str(replace(method, factor=factor)) if _LEAST_FACTOR <= factor <= _LARGEST_FACTOR else None


def _surely_less(measure: Measure, than: Measure) -> bool:
    """Whether the noise is less by more than chance, case by case."""
    gains = than.by_case - measure.by_case
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return float(gains.mean()) > _SURE * error
