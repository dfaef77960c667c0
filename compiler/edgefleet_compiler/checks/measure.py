"""One pass over the evaluation cases: parity against source and hub, and accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.checks.accuracy import Accuracy, MeasuredOn, accuracy_of
from edgefleet_compiler.checks.alignment import AlignedRunner
from edgefleet_compiler.checks.artifacts import ArtifactRunner
from edgefleet_compiler.checks.exactness import (
    Model,
    require_close,
    require_equal,
    require_finite,
    require_identical,
)
from edgefleet_compiler.checks.metrics import Metric, choose_metric
from edgefleet_compiler.checks.parity import Parity, ParityMeter
from edgefleet_compiler.checks.remembered import IndexedModel, Remembered
from edgefleet_compiler.checks.runtimes import Execution, open_runner
from edgefleet_compiler.data.evaluation import Evaluation
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.keeping import SCHEME
from edgefleet_compiler.naming import naming
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.recipe.form import STATIC
from edgefleet_compiler.source import Source

_PARITY_CASES = 128  # where accuracy is not measured; else every case is run for its sake anyway
_HUB_CASES = 32  # of them, for parity with the hub
_EXACTNESS_CASES = 16


@dataclass(frozen=True)
class Measurement:
    """What an artifact computes, compared.

    Attributes:
        parity: Against the source, then against the float hub where the artifact was made of a hub.
        accuracy: None on random inputs.
    """

    parity: list[Parity]
    accuracy: Accuracy | None


class Examiner:
    """Measures artifacts of one source on the same cases.

    Args:
        source: The model.
        evaluation: The cases.
        options: Metric, seed, and whether accuracy is to be measured where there is no validation set.
        progress: Told of each case.

    Raises:
        UsageMalformed: No such metric.
        DataMalformed: A case that cannot be used, or no labels where the metric needs them.
    """

    def __init__(self, source: Source, evaluation: Evaluation, options: CompileOptions, progress: Progress) -> None:
        self.evaluation = evaluation
        self.source = source
        self._options = options
        self._progress = progress
        self._new_metric()  # refuses a metric that does not fit before anything is built
        self._measured: dict[tuple[bytes, Execution], Measurement] = {}
        self.cases = evaluation.data.pick(evaluation.data.spread(_EXACTNESS_CASES))
        self.source_runner = self._open_source(_believed(source))
        self._remembered = Remembered(self.source_runner.run)

    def check_import(self) -> None:
        """Believe the hub only once it has computed what the source computes.

        Raises:
            ModelMalformed: The source computes what is no number.
            ParityLost: It does not.
        """
        require_finite(self.source_runner.run, self.cases, [tensor.name for tensor in self.source.outputs])
        if self.source.lowered is None:
            self._check_hub()

    def open(self, artifact: Artifact, execution: Execution) -> AlignedRunner:
        """An artifact, ready to be run on cases in the source's axes.

        Raises:
            ParityLost: Its runtime does not load it.
        """
        return ArtifactRunner(artifact, self.source.inputs, self.source.outputs, execution)

    def check_export(self, artifact: Artifact, execution: Execution) -> None:
        """Believe an artifact only once it has computed what the hub that it was exported from computes.

        Raises:
            ParityLost: It does not, or it does not run.
        """
        if artifact.hub is None:
            kept = self.open(artifact, "plain").run
            require = require_identical if artifact.recipe.io == "source" else require_equal
            require(self._open_source("plain").run, kept, self.cases, what="the artifact and the source model")
            return
        if self.source.lowered is not None:
            self._check_hub()
        reference, runner = self._run_hub(artifact.hub), self.open(artifact, execution)
        what = "the artifact and the hub that it was made from"
        if artifact.recipe.scheme in (*STATIC, "dynamic", SCHEME):
            require_close(reference, runner.run, self.cases, what=what, rounded_from=self._hub)
        else:
            require_equal(reference, runner.run, self.cases, what=what)

    @cached_property
    def _hub(self) -> Model:
        """The float hub, ready to be run."""
        return self._run_hub(self.source.hub)

    def _check_hub(self) -> None:
        what = "the imported hub and the source model"
        quantised = self.source.hubs.quantised
        if quantised is not None:
            imported = self._run_hub(quantised)
            require_close(self.source_runner.run, imported, self.cases, what=what, rounded_from=self._hub)
            return
        require = require_close if self.source.hybrid else require_equal
        require(self.source_runner.run, self._hub, self.cases, what=what)

    def _run_hub(self, hub: ir.Model) -> Model:
        """A hub as a function of a case: its outputs, from states at rest."""
        session, rest, outputs = Session(hub, optimise=False), self.source.rest, len(self.source.outputs)
        return lambda sample: list(session.run({**sample, **rest}).values())[:outputs]

    def _open_source(self, execution: Execution) -> AlignedRunner:
        runner = open_runner(self.source.runnable, self.source.file.runs_as, execution=execution)
        return AlignedRunner(runner, self.source.inputs, self.source.outputs)

    def measure(self, artifact: Artifact, execution: Execution) -> Measurement:
        """Run source, hub and artifact over the cases.

        Raises:
            DataMalformed: A case that cannot be used, or labels that the metric cannot use.
            UsageMalformed: No such metric.
            ParityLost: The artifact does not run.
        """
        key = (artifact.data, execution)
        if key not in self._measured:
            # What keeps the source's own file format is compared with the source as the target would run that.
            source = self._remembered.run if artifact.hub is not None else _without_index(self._open_source(execution))
            self._measured[key] = self._measure(source, self.open(artifact, execution), artifact.hub is not None)
        return self._measured[key]

    def _measure(self, source: IndexedModel, artifact: AlignedRunner, against_hub_too: bool) -> Measurement:
        data, metric = self.evaluation.data, self._new_metric()
        against_source, against_hub = ParityMeter("source"), ParityMeter("hub")
        compared = data.spread(_PARITY_CASES if metric is None else data.n)
        with_hub = set(compared[:: -(-len(compared) // _HUB_CASES)] if against_hub_too else [])
        self._progress.stage("measuring", len(compared))
        for index, sample in data.chosen(compared):
            reference, compiled = source(index, sample), artifact.run(sample)
            against_source.add(reference, compiled)
            if index in with_hub:
                against_hub.add(self._hub(sample), compiled)
            if metric is not None:
                with naming(data.path):
                    metric.add(index, next(iter(sample.values())), reference[0], compiled[0])
            self._progress.advance()
        accuracy = None if metric is None else self._accuracy_by(metric)
        meters = [against_source, against_hub] if against_hub_too else [against_source]
        return Measurement([meter.result() for meter in meters], accuracy)

    def _new_metric(self) -> Metric | None:
        """A metric for the cases; None where accuracy is not to be measured.

        The calibration set is measured on only if a limit or a metric was given: it flatters, and it is often so small
        that the default limit would refuse by chance.
        """
        asked = self._options.metric is not None or self._options.max_drop is not None
        origin = self.evaluation.origin
        if origin == "validation" or (origin == "calibration" and asked):
            return choose_metric(self._options.metric, self.evaluation.data)
        return None

    def _accuracy_by(self, metric: Metric) -> Accuracy:
        quality = metric.result(self._options.seed or 0)
        measured_on: MeasuredOn = "validation" if self.evaluation.origin == "validation" else "calibration"
        return accuracy_of(metric.name, quality, self.evaluation.data.n, measured_on)


def _without_index(runner: AlignedRunner) -> IndexedModel:
    return lambda _, sample: runner.run(sample)


def _believed(source: Source) -> Execution:
    """How a source is run that is believed: not by onnxruntime's optimiser, whose fusions have computed wrong results.

    Quantised TFLite sources are run without delegates, whose kernels round differently.

    Hubs are run without it, too. What it makes of an artifact shows by comparison with them.
    """
    return "plain" if source.file.runs_as == "onnx" or source.quantised is not None else "deployed"
