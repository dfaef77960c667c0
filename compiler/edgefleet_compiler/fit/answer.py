"""The whole answer of ``edgefleet model fit``: one import, one artifact a format and scheme, every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgefleet_compiler.artifact import Workbench
from edgefleet_compiler.data import DataSet, Normalisation, open_data_set
from edgefleet_compiler.data.evaluation import random_set
from edgefleet_compiler.exports import lowered_for_costs
from edgefleet_compiler.fit.places import ModelFigures, weigh_places
from edgefleet_compiler.fit.record import SCHEMA_VERSION, FitReport, TargetFit
from edgefleet_compiler.fit.target import Limits, TargetExaminer
from edgefleet_compiler.lowered.costs import macs
from edgefleet_compiler.naming import naming
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import rungs_for
from edgefleet_compiler.source import Source, load_source
from edgefleet_contract.errors import GateError
from edgefleet_hardware.profile import TargetProfile, load_profile, target_names

_ASSUMED_CASES = 1  # of random inputs: their values decide scales, which take the same bytes whatever they are


@dataclass(frozen=True)
class FitOptions:
    """One question.

    Attributes:
        model: The source model.
        targets: Names of target profiles, or paths of the user's own; all that ship if empty.
        calibration: Typical inputs; without them int8 parameters are assumed.
        limits: What the user allows beside what the targets have.
        input_shapes: Shapes for inputs that the source leaves open, by name.
    """

    model: Path
    targets: tuple[str, ...] = ()
    calibration: Path | None = None
    limits: Limits = field(default_factory=Limits)
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def fit_model(options: FitOptions, progress: Progress) -> FitReport:
    """Hold a model against targets.

    Args:
        options: The question.
        progress: Told of what takes long.

    Raises:
        EdgefleetError: The model, the data or a profile cannot be read.
    """
    profiles = [load_profile(target) for target in dict.fromkeys(options.targets or target_names())]
    progress.stage("importing")
    source = load_source(options.model, input_shapes=options.input_shapes)
    data = _calibration(options, source)
    assumed = options.calibration is None
    examiner = TargetExaminer(Workbench(source, data, progress), options.limits, assumed=assumed)
    asked = CompileOptions(model=options.model, targets=(), out=Path(), calibration=options.calibration)
    progress.stage("fitting", len(profiles))
    targets = []
    with naming(options.model):
        for profile in profiles:
            targets.append(_fit(asked, data.path, source, examiner, profile))
            progress.advance()
        work = _macs(source)
    targets.sort(key=lambda fit: (fit.ram_limit_bytes is None, fit.ram_limit_bytes or 0, fit.target))
    figures = ModelFigures.of(source.inputs, source.outputs, work)
    return FitReport(
        schema_version=SCHEMA_VERSION,
        model=str(options.model),
        sha256=source.sha256,
        calibrated=not assumed,
        input_bytes=figures.input_bytes,
        output_bytes=figures.output_bytes,
        macs=work,
        targets=targets,
        places=weigh_places(targets, figures),
    )


def _calibration(options: FitOptions, source: Source) -> DataSet:
    if options.calibration is None:
        return random_set(source.inputs, 0, cases=_ASSUMED_CASES)
    return open_data_set(options.calibration, source.inputs, normalisation=Normalisation(), labels=())


def _fit(
    asked: CompileOptions, assumed: Path, source: Source, examiner: TargetExaminer, profile: TargetProfile
) -> TargetFit:
    """The answer for the recipe that compiling would begin with; int8 with assumed scales where only int8 runs."""
    if profile.int8_only and asked.calibration is None:
        asked = replace(asked, calibration=assumed)
    try:
        recipe = rungs_for(asked, profile, source.quantised)[0].recipe
    except GateError as refusal:
        return examiner.refused(profile, refusal)
    return examiner.examine(recipe, profile)


def _macs(source: Source) -> int | None:
    if source.lowered is not None:
        return macs(source.lowered)
    lowered = lowered_for_costs(source.hub, io="float", io_layout="source")
    return None if lowered is None else macs(lowered)
