"""The calibrator: observes hubs over the calibration set, each once, and makes ranges of what it saw."""

from __future__ import annotations

import difflib
import time
from collections import Counter
from collections.abc import Iterable

import onnx_ir as ir

from edgefleet_compiler.data import DataSet
from edgefleet_compiler.data.variety import Variety
from edgefleet_compiler.naming import naming
from edgefleet_compiler.passes.record import PassRecord
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.quantise.calibrate import Ranges
from edgefleet_compiler.quantise.calibration.methods import needs_histogram, range_by
from edgefleet_compiler.quantise.calibration.observe import Observations, observe
from edgefleet_compiler.quantise.calibration.sufficiency import warn_of_few
from edgefleet_compiler.quantise.settings import Method, Settings
from edgefleet_contract.errors import RecipeMalformed


class Calibrator:
    """Observes float hubs over a calibration set.

    Args:
        data: Typical inputs; None where no recipe needs them.
        progress: Told of every pass over them.
    """

    def __init__(self, data: DataSet | None, progress: Progress) -> None:
        self._data = data
        self._progress = progress
        self._variety = Variety()
        self._observed: dict[object, Observations] = {}
        self._seconds: dict[object, float] = {}

    @property
    def warnings(self) -> list[str]:
        """What a person should know of the calibration set; nothing before it was used."""
        first = next(iter(self._observed.values()), None)
        return [*self._variety.warnings(), *([] if first is None else warn_of_few(first))]

    def ranges(
        self, key: object, hub: ir.Model, settings: Settings, records: list[PassRecord], bits: int = 8
    ) -> Ranges:
        """The range of each activation of a float hub, by the method that the settings have for it.

        Args:
            key: Of the hub; hubs with equal keys are equal.
            hub: In hub normal form; it is not changed.
            settings: They name methods.
            records: Gets a record of what was done.
            bits: Of the integers that activations will be stored as.

        Raises:
            RecipeMalformed: The settings name an activation that is not there, or has no range of its own.
            DataMalformed: A case of the calibration set cannot be used.
        """
        methods = {Method.parse(text) for text in (settings.calibration, *settings.ranges.values())}
        seen = self.observed(key, hub, histograms=any(needs_histogram(method) for method in methods))
        start = time.perf_counter()
        _check_named(settings, seen.activations)
        chosen = {name: settings.method_of(name) for name in seen.activations}
        ranges = {name: range_by(method, seen.activations[name], bits) for name, method in chosen.items()}
        seconds = self._seconds[key] + time.perf_counter() - start
        records.append(PassRecord("calibrate", seconds, _effect(settings, chosen.values(), seen.cases)))
        return ranges

    def observed(self, key: object, hub: ir.Model, *, histograms: bool) -> Observations:
        """What the activations of a float hub were seen to be, in one pass for each key.

        Args:
            key: Of the hub; hubs with equal keys are equal.
            hub: In hub normal form; it is not changed.
            histograms: Whether they are wanted. Who will want them later asks for them at once, to save a pass.

        Raises:
            DataMalformed: A case of the calibration set cannot be used.
        """
        data = self._data
        assert data is not None, "recipes are checked against the options before anything is built"
        known = self._observed.get(key)
        if known is not None and (known.has_histograms or not histograms):
            return known
        self._progress.stage("calibrating", data.n)
        start = time.perf_counter()
        with naming(data.path):
            samples = data.samples() if self._observed else self._variety.watched(data.samples())
            advance = self._progress.advance
            seen = observe(hub, samples, lambda _: advance(), histograms=histograms, count=data.n)
        self._observed[key] = seen
        self._seconds[key] = time.perf_counter() - start
        return seen


def _check_named(settings: Settings, activations: Iterable[str]) -> None:
    known = list(activations)
    for name in settings.ranges:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise RecipeMalformed(
                f"The recipe gives a range to {name!r}, which is no activation with a range of its own",
                expected=f"a name such as {' or '.join(map(repr, near or known[:3]))}" if known else "no names",
                remedy="Take names from the report of a compilation of this model with --recipe int8.",
                activation=name,
                near=near,
            )


def _effect(settings: Settings, methods: Iterable[Method], cases: int) -> str:
    """For example ``min-max of 500 cases; mse of 3 activations``."""
    usual = Method.parse(settings.calibration)
    others = Counter(str(method) for method in methods if method != usual)
    told = [f"{method} of {count} activation{'s' * (count > 1)}" for method, count in sorted(others.items())]
    return "; ".join([f"{usual} of {cases} case{'s' * (cases > 1)}", *told])
