"""One recipe tried for one target: the artifact, everything measured of it, and what the gates say."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from edgefleet_compiler.artifact import Artifact, Workbench
from edgefleet_compiler.benchmark.evidence import InstructionEvidence, count_evidence, is_wanted
from edgefleet_compiler.benchmark.layer_times import Times, layer_times, told_losses
from edgefleet_compiler.checks.accuracy import LOW_SQNR_DB, check_accuracy, drop_limit, guesses
from edgefleet_compiler.checks.budget import BudgetLine, check_budget, over_budget
from edgefleet_compiler.checks.deployment import Deployment, inspect_deployment
from edgefleet_compiler.checks.latency import Latency, compare_latency, host_is_target
from edgefleet_compiler.checks.layers import DROWNED, Layer, inspect_layers, kept_layers
from edgefleet_compiler.checks.measure import Examiner, Measurement
from edgefleet_compiler.checks.operators import check_operators
from edgefleet_compiler.checks.runtimes import execution_of
from edgefleet_compiler.diagnose.artifacts import diagnose_artifact
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.diagnose.words import warn_of_findings, with_causes
from edgefleet_compiler.keeping import SCHEME, check_kernels
from edgefleet_compiler.memory.runtimes import PeakMemory, peak_memory
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import Source
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import AccuracyLost, GateError, ParityLost, RecipeUnfit
from edgefleet_hardware.profile import TargetProfile
from edgefleet_hardware.units import format_bytes

_NOISE = 1.02  # medians of interleaved runs repeat within 2 %
_LOW_AGREEMENT = 0.95
_LAYERS_NAMED = 3
_MUCH_LARGER, _MUCH_LARGER_BYTES = 0.01, 1024  # a larger artifact is worth a word from both on


@dataclass(frozen=True)
class Attempt:
    """What came of one recipe for one target.

    Attributes:
        artifact: The exported model.
        measurement: Parity and accuracy.
        memory: What an inference takes of the target's memory; None where no planner takes the model.
        latency: None without evidence from the target itself.
        instructions: Of a Raspberry Pi, where they are wanted; None otherwise.
        deployment: What the runtime makes of the artifact; None for TFLite Micro, which runs what stands in it.
        layers: Cost and truth of each layer.
        findings: What is wrong with them, and what helps.
        budget: Each limit, and whether it is kept.
        refusals: The gates that said no.
        warnings: What a person should know, in sentences.
    """

    artifact: Artifact
    measurement: Measurement
    memory: PeakMemory | None
    latency: Latency | None
    instructions: InstructionEvidence | None
    deployment: Deployment | None
    layers: list[Layer]
    findings: list[Finding]
    budget: list[BudgetLine]
    refusals: list[GateError]
    warnings: list[str]

    @property
    def lost_accuracy(self) -> AccuracyLost | None:
        """The refusal that a gentler recipe might not meet with; None if there is no such one."""
        return next((refusal for refusal in self.refusals if isinstance(refusal, AccuracyLost)), None)

    @property
    def sqnr_db(self) -> float | None:
        """Of the outputs against the source; None without noise or signal."""
        return self.measurement.parity[0].sqnr_db

    @property
    def speed_ratio(self) -> float | None:
        """How many times faster than the float model, by the target's own evidence; None without any."""
        if self.instructions is not None:
            return self.instructions.baseline_total / self.instructions.total
        return None if self.latency is None else self.latency.baseline_median_ms / self.latency.median_ms

    @property
    def slowness(self) -> str | None:
        """By how much the artifact is slower than the float model, in words; None where it is not, or nobody knows."""
        return _slower_by_instructions(self.instructions) or _slower_by_time(self.latency)

    @property
    def is_slower(self) -> bool:
        """Whether the target's own evidence says that the artifact is slower than the float model."""
        return self.artifact.recipe.scheme != "float" and self.slowness is not None

    def does_what_was_asked(self, recipe: Recipe) -> bool:
        """Whether the recipe's scheme changed anything of the model."""
        return self.artifact.recipe.scheme == recipe.scheme


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
            self._options, measurement.accuracy, measurement.parity[0], profile.name, artifact.recipe.scheme
        )
        refusals += [lost_accuracy] if lost_accuracy is not None else []
        latency = self._time(artifact, profile) if host_is_target(profile) and artifact.hub is not None else None
        instructions = self._count(artifact, profile) if is_wanted(profile) and artifact.hub is not None else None
        budget = check_budget(
            self._options,
            profile,
            flash=len(artifact.data),
            ram=None if memory is None else memory.bytes,
            latency_ms=latency.median_ms if latency is not None else None,
        )
        exceeded = over_budget(budget, profile, artifact.recipe.scheme)
        refusals += [exceeded] if exceeded is not None else []
        deployment = inspect_deployment(artifact, runtime.name)
        slower = artifact.recipe.scheme != "float" and _slower_by_time(latency) is not None
        times = layer_times(artifact, self._baseline(artifact, profile)) if slower else {}
        source, kept = self._examiner.source, artifact.hub is None  # what is kept may have what no hub can be made of
        cases = [] if kept else [{**case, **source.rest} for case in self._examiner.cases]
        findings = [] if kept else diagnose_artifact(artifact, self._bench.hubs, source.hub, cases)
        layers = with_causes([_timed(layer, times) for layer in _inspect(artifact, cases)], findings)
        warnings = [
            *_warn_of_recipe(recipe, artifact),
            *self._bench.calibration_warnings,
            *self._warn_of_measurement(measurement),
            *_warn_of_layers(layers),
            *warn_of_findings(findings),
            *([] if deployment is None else deployment.warnings()),
            *_warn_of_size(source, artifact),
            *_warn_of_speed(artifact.recipe, _slower_by_instructions(instructions) or _slower_by_time(latency), times),
        ]
        return Attempt(
            artifact,
            measurement,
            memory,
            latency,
            instructions,
            deployment,
            layers,
            findings,
            budget,
            refusals,
            warnings,
        )

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

    def _warn_of_measurement(self, measurement: Measurement) -> list[str]:
        warnings = []
        origin, accuracy = self._examiner.evaluation.origin, measurement.accuracy
        if origin == "random":
            warnings.append("No data was given: parity is measured on random inputs, accuracy is not measured.")
        elif origin == "calibration":
            told = "is not measured" if accuracy is None else "is measured on the calibration set, which flatters"
            warnings.append(f"No validation set was given: the loss of accuracy {told}.")
        if accuracy is not None and guesses(accuracy):
            warnings.append(
                f"The source itself has {accuracy.metric} {accuracy.baseline:.4f}, and guessing has "
                f"{accuracy.chance:.4f} (n={accuracy.n}, not to be told apart): do the labels belong to this model?"
            )
        if accuracy is not None and drop_limit(self._options, accuracy) is None and accuracy.compiled < _LOW_AGREEMENT:
            warnings.append(
                f"The artifact agrees with the source on {accuracy.compiled:.3f} of the cases. Without labels nobody "
                "can tell whether that costs accuracy: give labels, or a limit with --max-drop."
            )
        sqnr = measurement.parity[0].sqnr_db
        if sqnr is not None and sqnr < LOW_SQNR_DB:
            warnings.append(f"The outputs carry much noise against the source: {sqnr:.1f} dB.")
        return warnings


def _inspect(artifact: Artifact, cases: list[Sample]) -> list[Layer]:
    if artifact.hub is not None and artifact.float_hub is not None:
        return inspect_layers(artifact.float_hub, artifact.hub, cases)
    assert artifact.exported.lowered is not None
    return kept_layers(artifact.exported.lowered)


def _warn_of_recipe(asked: Recipe, artifact: Artifact) -> list[str]:
    if artifact.recipe.scheme == asked.scheme:
        return []
    nothing = {
        "int8": "no layer of the model has an int8 form",
        "int16x8": "no layer of the model has a form in 16-bit integers",
        "fp16": "the model has no weights large enough to store in 16 bits",
    }
    reason = nothing.get(asked.scheme, "the model has no weights large enough to store as integers")
    return [f"The recipe {asked.scheme} changes nothing, as {reason}: this is the recipe float."]


def _warn_of_layers(layers: list[Layer]) -> list[str]:
    drowned = [layer for layer in layers if layer.cause == DROWNED]
    if not drowned:
        return []
    named = ", ".join(f"{layer.name!r} ({layer.sqnr_db:.1f} dB)" for layer in drowned[:_LAYERS_NAMED])
    more = f" and {len(drowned) - _LAYERS_NAMED} more" if len(drowned) > _LAYERS_NAMED else ""
    told = f"Noise drowns what these layers give, though not what they take: {named}{more}."
    cause = "Values that share a tensor with much larger ones share their scale, and may all be rounded to the same."
    return [f"{told} {cause} Use --recipe fp16, or give them an output of their own."]


def _warn_of_size(source: Source, artifact: Artifact) -> list[str]:
    size, size_of_source = len(artifact.data), len(source.file.runnable)
    if size - size_of_source < max(_MUCH_LARGER * size_of_source, _MUCH_LARGER_BYTES):
        return []
    reason = ", whose constants are stored narrower" if source.stores_narrower else ""
    sizes = f"{format_bytes(size)} against {format_bytes(size_of_source)}"
    return [f"The artifact is larger than the source{reason}: {sizes}."]


def _warn_of_speed(recipe: Recipe, slowness: str | None, times: Times) -> list[str]:
    if slowness is None or recipe.scheme == "float":
        return []
    return [f"{_subject(recipe)} {slowness}. {told_losses(times)}".rstrip()]


def _timed(layer: Layer, times: Times) -> Layer:
    time = times.get(layer.name)
    return layer if time is None else replace(layer, time_us=time.artifact, float_time_us=time.baseline)


def _slower_by_time(latency: Latency | None) -> str | None:
    if latency is None or latency.ratio <= _NOISE or latency.ratio_ci95[0] <= 1:
        return None
    times = f"{latency.median_ms:.3f} ms against {latency.baseline_median_ms:.3f} ms (medians, one thread)"
    return f"is slower than float here: {times}"


def _slower_by_instructions(counted: InstructionEvidence | None) -> str | None:
    if counted is None or counted.total <= counted.baseline_total * _NOISE:
        return None
    counts = f"{counted.total:,} against {counted.baseline_total:,} in {counted.where}"
    return f"takes more instructions than float: {counts}, one thread"


def _subject(recipe: Recipe) -> str:
    return "The source's own quantisation" if recipe.scheme == SCHEME else recipe.scheme
