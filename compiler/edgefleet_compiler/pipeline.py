"""The compiler's way, from a model file to a folder for each target. The only place that knows the order of things."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgefleet_compiler.artifact import Workbench
from edgefleet_compiler.attempt import Attempt, Trier
from edgefleet_compiler.benchmark.evidence import require_boards
from edgefleet_compiler.benchmark.layer_times import Times
from edgefleet_compiler.checks.budget import check_limits_can_be_judged
from edgefleet_compiler.checks.latency import host_is_target
from edgefleet_compiler.checks.measure import Examiner
from edgefleet_compiler.compress.ratio import check_ratio
from edgefleet_compiler.data import DataSet, Normalisation, choose_evaluation, open_data_set
from edgefleet_compiler.data.images import check_normalisation
from edgefleet_compiler.data.likeness import cases_compared, unlike
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.ladder.climb import Climb, climb
from edgefleet_compiler.ladder.costs import Reckoner
from edgefleet_compiler.ladder.refusal import explain
from edgefleet_compiler.ladder.tuner import Tuner
from edgefleet_compiler.naming import naming
from edgefleet_compiler.options import MAX_SEED, CompileOptions
from edgefleet_compiler.output import check_output, replaced_folder
from edgefleet_compiler.pack.bundle import RECIPE, Contents, pack_bundle
from edgefleet_compiler.pack.file import Packed
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import Recipe, Rung, check_recipe, rungs_for
from edgefleet_compiler.recipe.form import STATIC
from edgefleet_compiler.report.make import make_refusal, make_report
from edgefleet_compiler.report.pictures import draw_pictures
from edgefleet_compiler.report.record import Report
from edgefleet_compiler.report.write import write_report
from edgefleet_compiler.source import Source, load_source
from edgefleet_contract.errors import GateError, UsageMalformed
from edgefleet_contract.identifiers import check_name, check_version
from edgefleet_hardware.profile import TargetProfile, load_profile

_FEW_CASES = 50


@dataclass(frozen=True)
class Outcome:
    """What came of one target.

    Attributes:
        report: What was found out.
        folder: Where it was written.
        refusals: The gates that said no; empty if the artifact was accepted.
    """

    report: Report
    folder: Path
    refusals: Sequence[GateError]


@dataclass(frozen=True)
class Plan:
    """What to try for one target: rungs in order, or the reason why there are none."""

    profile: TargetProfile
    rungs: Sequence[Rung]
    refusal: GateError | None = None


@dataclass(frozen=True)
class Data:
    """The user's data sets; None where none was given."""

    calibration: DataSet | None
    validation: DataSet | None


def compile_model(options: CompileOptions, progress: Progress) -> list[Outcome]:
    """Compile a model for every target of the request; a target that is refused does not stop the others.

    Args:
        options: The request.
        progress: Told of what takes long.

    Raises:
        EdgefleetError: The request, the model or the data cannot be used at all; nothing is half-written then.
    """
    name = check_request(options)
    check_recipe(options)
    profiles = _profiles(options)
    require_boards(profiles)
    check_output(options.out, [profile.name for profile in profiles])
    progress.stage("importing")
    source = load_source(options.model, input_shapes=options.input_shapes)
    plans = [_plan(options, profile, source) for profile in profiles]
    data = open_data(options, source)
    evaluation = choose_evaluation(data.validation, data.calibration, source.inputs, seed=options.seed or 0)
    examiner = Examiner(source, evaluation, options, progress)
    with naming(options.model):
        examiner.check_import()
    bench = Workbench(source, data.calibration, progress)
    trier = Trier(options, bench, examiner, progress)
    tuner, reckoner = Tuner(source, bench.hubs, progress, prune=options.prune), Reckoner(source)
    compilation = _Compilation(options, name, data, examiner, trier, tuner, bench.hubs, reckoner, progress)
    return [compilation.compile_for(plan) for plan in plans]


@dataclass(frozen=True)
class _Compilation:
    """What all targets of one request share."""

    options: CompileOptions
    name: str
    data: Data
    examiner: Examiner
    trier: Trier
    tuner: Tuner
    hubs: HubMaker
    reckoner: Reckoner
    progress: Progress

    def compile_for(self, plan: Plan) -> Outcome:
        """Write the folder of one target: all of it, or of a refused one what is known."""
        folder = self.options.out / plan.profile.name
        try:
            climbed = self.climb(plan)
        except GateError as refusal:
            report = make_refusal(self.examiner.source, plan.profile, refusal)
            with replaced_folder(folder) as fresh:
                write_report(report, draw_pictures(self.examiner.source.file.runnable, None), fresh)
            return Outcome(report, folder, [refusal])
        attempt = climbed.attempt
        with replaced_folder(folder) as fresh:
            (fresh / attempt.artifact.file_name).write_bytes(attempt.artifact.data)
            (fresh / RECIPE).write_text(attempt.artifact.recipe.to_toml(), encoding="utf-8")
            bundle = None if attempt.refusals else self._pack(attempt, plan.profile, fresh)
            warnings = [*climbed.warnings, *self._warn_of_data(attempt.artifact.recipe), *attempt.warnings]
            source = self.examiner.source
            report = make_report(source, plan.profile, climbed, bundle, folder=folder, warnings=warnings)
            write_report(report, draw_pictures(source.file.runnable, attempt.artifact.exported), fresh)
        return Outcome(report, folder, attempt.refusals)

    def climb(self, plan: Plan) -> Climb:
        """Try the plan's rungs.

        Raises:
            GateError: There are none, or none gives an artifact.
        """
        if plan.refusal is not None:
            raise plan.refusal

        times: Times = {}

        def attempt(rung: Rung) -> Attempt | None:
            nonlocal times
            recipe = self.tuner.explicit(rung, plan.profile, times)
            if recipe is None:
                return None
            made = self.trier.attempt(recipe, plan.profile)
            times = made.speed.times
            return made

        climbed = climb(plan.rungs, attempt)
        if self._searches and climbed.breaks_a_limit:
            climbed = self._beyond(climbed, plan.profile, attempt)
        if climbed.attempt.lost_accuracy is not None:
            explain(climbed.attempt, self.tuner.cases, len(climbed.steps))
        return climbed

    def _beyond(self, climbed: Climb, profile: TargetProfile, attempt: Callable[[Rung], Attempt | None]) -> Climb:
        """What a search for the budget comes to; its means are loaded only where there is one."""
        from edgefleet_compiler.ladder.dials import Ground  # noqa: PLC0415 - see above
        from edgefleet_compiler.ladder.means import MEANS  # noqa: PLC0415
        from edgefleet_compiler.ladder.search import Search  # noqa: PLC0415
        from edgefleet_compiler.ladder.unmet import refuse_unmet  # noqa: PLC0415

        ground = Ground(self.hubs, self.tuner.cases, self.reckoner, profile, self.progress)
        lessons = 0 if self.data.calibration is None else self.data.calibration.n
        found = Search(MEANS, ground, self.tuner, attempt, self.progress, lessons).beyond(climbed)
        refuse_unmet(found, profile)
        return found

    @property
    def _searches(self) -> bool:
        """Whether the way into a budget is left to the compiler, and there is something to find it by."""
        return self.options.recipe == "auto" and self.data.calibration is not None

    def _pack(self, attempt: Attempt, profile: TargetProfile, folder: Path) -> Packed:
        contents = Contents(
            source=self.examiner.source,
            artifact=attempt.artifact,
            profile=profile,
            accuracy=attempt.measurement.accuracy,
            calibration=self.data.calibration,
            validation=self.data.validation,
        )
        return pack_bundle(contents, self.options, self.examiner, name=self.name, folder=folder)

    def _warn_of_data(self, recipe: Recipe) -> list[str]:
        calibration, validation = self.data.calibration, self.data.validation
        if calibration is None and self.options.recipe == "auto" and recipe.scheme == "fp16":
            return ["No calibration set was given: weights are stored in 16 bits and computed in float, not in int8."]
        warnings = list(self._unlike) if recipe.scheme in STATIC else []
        if validation is not None and validation.n < _FEW_CASES:
            warnings.append(f"The validation set has only {validation.n} cases, which show no small loss of accuracy.")
        return warnings

    @cached_property
    def _unlike(self) -> list[str]:
        """What the calibration set has otherwise than the validation set."""
        calibration, validation = self.data.calibration, self.data.validation
        if calibration is None or validation is None:
            return []
        self.progress.stage("comparing the data sets", cases_compared(calibration, validation))
        return unlike(calibration, validation, self.progress.advance)


def check_request(options: CompileOptions) -> str:
    """The bundle's name, once everything that needs no file is in order.

    Raises:
        UsageMalformed: Options that contradict each other, or values that none has.
    """
    check_version(options.version)
    measured = options.calibration is not None or options.validation is not None
    if not measured and (options.max_drop is not None or options.metric is not None):
        raise UsageMalformed(
            "--max-drop or --metric was given without data to measure on", expected="--validation or --calibration"
        )
    if options.max_drop is not None and not (math.isfinite(options.max_drop) and options.max_drop >= 0):
        raise UsageMalformed(f"--max-drop is {options.max_drop}", expected="a fraction such as 0.01")
    check_ratio(options.prune)
    if options.seed is not None and not 0 <= options.seed <= MAX_SEED:
        raise UsageMalformed(f"--seed is {options.seed}", expected=f"0 to {MAX_SEED}")
    _check_normalised(options)
    if options.name is not None:
        return check_name(options.name)
    plain = re.sub(r"[^a-z0-9._-]+", "-", options.model.stem.lower()).strip("._-")
    return plain[:64].rstrip("._-") or "model"


def _check_normalised(options: CompileOptions) -> None:
    """Refuse a normalisation that a data set would not get: arrays hold what the model takes, and stay as they are."""
    for path in (options.calibration, options.validation):
        if options.normalisation is not None and path is not None and path.is_file():
            raise UsageMalformed(
                f"--mean or --std was given, and {str(path)!r} is no folder of images",
                expected="--mean and --std for folders of images only",
                remedy="Normalise the arrays before you save them, and leave --mean and --std out.",
            )


def _profiles(options: CompileOptions) -> list[TargetProfile]:
    profiles = [load_profile(target) for target in dict.fromkeys(options.targets)]
    for profile in profiles:
        check_limits_can_be_judged(options, profile, host_is_target=host_is_target(profile))
    if len({profile.name for profile in profiles}) < len(profiles):
        raise UsageMalformed(f"Two targets have the same name: {[profile.name for profile in profiles]}")
    return profiles


def _plan(options: CompileOptions, profile: TargetProfile, source: Source) -> Plan:
    try:
        return Plan(profile, rungs_for(options, profile, source.quantised))
    except GateError as refusal:
        return Plan(profile, [], refusal)


def open_data(options: CompileOptions, source: Source) -> Data:
    """The data sets of a request.

    Raises:
        DataNotFound: There is none where one was named.
        DataMalformed: One cannot be read, or the model cannot take it.
    """
    if options.normalisation is not None:
        check_normalisation(options.normalisation, source.inputs)

    def opened(path: Path | None) -> DataSet | None:
        if path is None:
            return None
        normalisation = options.normalisation or Normalisation()
        return open_data_set(path, source.inputs, normalisation=normalisation, labels=options.labels)

    return Data(opened(options.calibration), opened(options.validation))
