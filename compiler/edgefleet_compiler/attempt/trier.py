"""Tries recipes: builds, measures and judges."""

from __future__ import annotations

from msgspec.structs import replace

from edgefleet_compiler.artifact import Artifact, Workbench
from edgefleet_compiler.attempt.record import Attempt
from edgefleet_compiler.attempt.speed import Speed, is_hardly_faster
from edgefleet_compiler.attempt.words import (
    warn_of_float,
    warn_of_layers,
    warn_of_measurement,
    warn_of_pruning,
    warn_of_recipe,
    warn_of_size,
    warn_of_speed,
)
from edgefleet_compiler.benchmark.evidence import InstructionEvidence, count_evidence, is_wanted
from edgefleet_compiler.benchmark.layer_times import Times, layer_times
from edgefleet_compiler.checks.accuracy import check_accuracy
from edgefleet_compiler.checks.budget import check_budget, over_budget
from edgefleet_compiler.checks.deployment import inspect_deployment
from edgefleet_compiler.checks.latency import Latency, compare_latency, host_is_target
from edgefleet_compiler.checks.layers import Layer, inspect_layers, kept_layers
from edgefleet_compiler.checks.measure import Examiner
from edgefleet_compiler.checks.operators import check_operators
from edgefleet_compiler.checks.runtimes import execution_of
from edgefleet_compiler.diagnose.artifacts import diagnose_artifact
from edgefleet_compiler.diagnose.words import warn_of_findings, with_causes
from edgefleet_compiler.keeping import check_kernels
from edgefleet_compiler.memory.runtimes import peak_memory
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.recipe.form import STATIC
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import GateError, ParityLost, RecipeUnfit
from edgefleet_hardware.profile import TargetProfile


class Trier:
    """Tries recipes for targets.

    Args:
        options: The request.
        bench: Makes artifacts.
        examiner: Measures them.
        progress: Told of what takes long.
    """

    def __init__(self, options: CompileOptions, bench: Workbench, examiner: Examiner, progress: Progress) -> None:
        self._options = options
        self._bench = bench
        self._examiner = examiner
        self._progress = progress

    def attempt(self, recipe: Recipe, profile: TargetProfile) -> Attempt:
        """Build, measure and judge.

        Raises:
            GateError: No artifact could be made.
            DataMalformed: A case of the data sets cannot be used.
        """
        runtime = profile.runtime_for(recipe.format)
        execution = execution_of(runtime.name)
        artifact = self._bench.build(recipe, max_opset=runtime.max_opset)
        if artifact.recipe.scheme != recipe.scheme and not profile.runs("float32"):
            raise RecipeUnfit(
                f"Nothing in the model has a form in {recipe.scheme}, and the target {profile.name!r} does not run the "
                "recipe 'float'",
                expected=f"a model that computes with {', '.join(profile.dtypes)}",
                target=profile.name,
                recipe=recipe.scheme,
            )
        lowered = artifact.exported.lowered
        check_kernels(lowered, artifact.recipe, profile)
        if recipe.format == "tflite" and lowered is not None:
            check_operators(lowered, runtime, profile)
        memory = None if lowered is None else peak_memory(lowered, runtime, profile)
        refusals: list[GateError] = []
        try:
            self._examiner.check_export(artifact, execution)
        except ParityLost as lost:
            refusals.append(lost)
        measurement = self._examiner.measure(artifact, execution)
        lost_accuracy = check_accuracy(
            self._options, measurement.accuracy, measurement.parity[0], profile, artifact.recipe.scheme
        )
        refusals += [lost_accuracy] if lost_accuracy is not None else []
        speed = self._speed(artifact, profile)
        budget = check_budget(
            self._options,
            profile,
            flash=len(artifact.data),
            ram=None if memory is None else memory.bytes,
            latency_ms=None if speed.latency is None else speed.latency.median_ms,
        )
        exceeded = over_budget(budget, profile, artifact.recipe.scheme)
        refusals += [exceeded] if exceeded is not None else []
        deployment = inspect_deployment(artifact, runtime.name)
        source, kept = self._examiner.source, artifact.hub is None  # what is kept may have what no hub can be made of
        cases = [] if kept else [{**case, **source.rest} for case in self._examiner.cases]
        findings = [] if kept else diagnose_artifact(artifact, self._bench.hubs, cases)
        layers = with_causes([_timed(layer, speed.times) for layer in _inspect(artifact, cases)], findings)
        warnings = [
            *warn_of_recipe(recipe, artifact),
            *self._bench.calibration_warnings,
            *warn_of_measurement(measurement, self._examiner.evaluation.origin, self._options),
            *warn_of_pruning(artifact.recipe, measurement),
            *warn_of_layers(layers, profile),
            *warn_of_float(layers, artifact.recipe),
            *warn_of_findings(findings, equalised=_is_equalised(artifact.recipe)),
            *([] if deployment is None else deployment.warnings()),
            *warn_of_size(source, artifact),
            *warn_of_speed(artifact.recipe, speed),
        ]
        return Attempt(
            artifact,
            measurement,
            memory,
            speed,
            deployment,
            layers,
            findings,
            budget,
            refusals,
            warnings,
        )

    def _speed(self, artifact: Artifact, profile: TargetProfile) -> Speed:
        if artifact.hub is None:
            return Speed()
        latency = self._time(artifact, profile) if host_is_target(profile) else None
        instructions = self._count(artifact, profile) if is_wanted(profile) else None
        worth_a_look = artifact.recipe.scheme in STATIC and is_hardly_faster(latency)
        times = layer_times(artifact, self._baseline(artifact, profile)) if worth_a_look else {}
        return Speed(latency, instructions, times)

    def _time(self, artifact: Artifact, profile: TargetProfile) -> Latency:
        execution = execution_of(profile.runtime_for(artifact.recipe.format).name)
        baseline = self._baseline(artifact, profile)
        self._progress.stage("timing")
        compiled_runner = self._examiner.open(artifact, execution)
        inputs = compiled_runner.arrange(self._examiner.cases[0])
        return compare_latency(compiled_runner.runner, self._examiner.open(baseline, execution).runner, inputs)

    def _count(self, artifact: Artifact, profile: TargetProfile) -> InstructionEvidence:
        baseline = self._baseline(artifact, profile)
        self._progress.stage(f"counting instructions in the emulated {profile.name}")
        return count_evidence(artifact, baseline, profile)

    def _baseline(self, artifact: Artifact, profile: TargetProfile) -> Artifact:
        """The float model in the artifact's format."""
        max_opset = profile.runtime_for(artifact.recipe.format).max_opset
        return self._bench.build_float(artifact.recipe, max_opset=max_opset)


def _inspect(artifact: Artifact, cases: list[Sample]) -> list[Layer]:
    if artifact.hub is not None and artifact.float_hub is not None:
        return inspect_layers(artifact.float_hub, artifact.hub, cases)
    assert artifact.exported.lowered is not None
    return kept_layers(artifact.exported.lowered)


def _is_equalised(recipe: Recipe) -> bool:
    return recipe.quantise is not None and recipe.quantise.equalise != "none"


def _timed(layer: Layer, times: Times) -> Layer:
    time = times.get(layer.name)
    return layer if time is None else replace(layer, time_us=time.artifact, float_time_us=time.baseline)
