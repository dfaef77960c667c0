"""Where candidates are evaluated: one source with its data and target, as a compilation has them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from edgefleet_compiler.artifact import Workbench
from edgefleet_compiler.attempt import Attempt, Trier
from edgefleet_compiler.checks.measure import Examiner
from edgefleet_compiler.data import choose_evaluation
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.naming import naming
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Data, check_request, open_data
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.source import Source, load_source
from edgefleet_compiler.sweep.choosers import Choosers
from edgefleet_compiler.sweep.explicit import Explicit
from edgefleet_compiler.sweep.record import Evaluation, Figures, Idea
from edgefleet_contract import canonical
from edgefleet_contract.errors import DataMalformed, EdgefleetError, GateError, InputError, UsageMalformed
from edgefleet_hardware.profile import TargetProfile, load_profile


@dataclass(frozen=True)
class Subject:
    """What a sweep is about.

    Attributes:
        options: The request.
        source: The model.
        profile: The target.
        data: The data sets.
    """

    options: CompileOptions
    source: Source
    profile: TargetProfile
    data: Data


def open_subject(options: CompileOptions) -> Subject:
    """Read what a request names.

    Raises:
        InputError: The request, the model or the data cannot be used.
    """
    check_request(options)
    (target,) = options.targets
    profile = load_profile(target)
    source = load_source(options.model, input_shapes=options.input_shapes)
    return Subject(options, source, profile, open_data(options, source))


class Bench:
    """Evaluates ideas, each as if it were the only one.

    What is measured of the source alone is kept for all of them; nothing else that an evaluation learns is left for
    the next, so that the order of ideas makes no difference.

    Args:
        subject: What they are about.
        clock: Monotonic, in seconds.

    Raises:
        ModelMalformed: The source computes what is no number.
        ParityLost: The imported hub does not compute what the source computes.
    """

    def __init__(self, subject: Subject, clock: Callable[[], float] = time.monotonic) -> None:
        self._subject = subject
        self._clock = clock
        data, options = subject.data, subject.options
        evaluation = choose_evaluation(data.validation, data.calibration, subject.source.inputs, seed=options.seed or 0)
        self._examiner = Examiner(subject.source, evaluation, options, Silent())
        with naming(options.model):
            self._examiner.check_import()

    @cached_property
    def _choosers(self) -> Choosers:
        source = self._subject.source
        return Choosers(source.hub, HubMaker(source, self._subject.data.calibration, Silent()).typical)

    def evaluate(self, idea: Idea) -> Evaluation:
        """Make an idea explicit, build it and measure it.

        Raises:
            DataMalformed: The data cannot be used, whatever the idea.
            UsageMalformed: The metric cannot be used, whatever the idea.
        """
        began = self._clock()
        try:
            attempt = self._attempt(idea)
        except (DataMalformed, UsageMalformed):
            raise
        except (GateError, InputError) as refusal:
            return Evaluation(outcome="impossible", why=refusal.text(), seconds=self._clock() - began)
        except Exception as defect:  # noqa: BLE001 - a defect that one idea shows must not end the sweep
            told = defect.text() if isinstance(defect, EdgefleetError) else f"{type(defect).__name__}: {defect}"
            return Evaluation(outcome="failed", why=told, seconds=self._clock() - began)
        accuracy = attempt.measurement.accuracy
        return Evaluation(
            outcome="measured",
            recipe=attempt.artifact.recipe.to_toml(),
            figures=_figures(attempt),
            metric=None if accuracy is None else accuracy.metric,
            baseline=None if accuracy is None else accuracy.baseline,
            seconds=self._clock() - began,
        )

    def _attempt(self, idea: Idea) -> Attempt:
        subject, progress = self._subject, Silent()
        source, profile = subject.source, subject.profile
        bench = Workbench(source, subject.data.calibration, progress)
        compression = self._choosers.compression(idea) if idea.prune or idea.low_rank else None
        explicit = Explicit(subject.options, source, profile, bench.hubs, progress)
        trier = Trier(subject.options, bench, self._examiner, progress)
        return trier.attempt(explicit.recipe(idea, compression), profile)


def _figures(attempt: Attempt) -> Figures:
    artifact, accuracy, parity = attempt.artifact, attempt.measurement.accuracy, attempt.measurement.parity[0]
    counted = attempt.speed.instructions
    return Figures(
        scheme=artifact.recipe.scheme,
        format=artifact.recipe.format,
        sha256=canonical.sha256(artifact.data),
        bytes=len(artifact.data),
        weights_bytes=artifact.exported.weights_bytes,
        peak_ram_bytes=None if attempt.memory is None else attempt.memory.bytes,
        macs=artifact.exported.macs,
        instructions=None if counted is None else counted.total,
        accuracy=None if accuracy is None else accuracy.compiled,
        drop=None if accuracy is None else min(accuracy.drop, sys.float_info.max),  # JSON has no infinity
        sqnr_db=parity.sqnr_db,
        agreement=parity.argmax_agreement,
        verdict="refused" if attempt.refusals else "accepted",
        refusals=[refusal.code for refusal in attempt.refusals],
    )
