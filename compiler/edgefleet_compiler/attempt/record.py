"""What came of one recipe for one target."""

from __future__ import annotations

from dataclasses import dataclass

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.attempt.speed import Speed
from edgefleet_compiler.checks.budget import BudgetLine
from edgefleet_compiler.checks.deployment import Deployment
from edgefleet_compiler.checks.layers import Layer
from edgefleet_compiler.checks.measure import Measurement
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.memory.runtimes import PeakMemory
from edgefleet_compiler.recipe import Recipe
from edgefleet_contract.errors import AccuracyLost, GateError


@dataclass(frozen=True)
class Attempt:
    """What came of one recipe for one target.

    Attributes:
        artifact: The exported model.
        measurement: Parity and accuracy.
        memory: What an inference takes of the target's memory; None where no planner takes the model.
        speed: What the target's own evidence says of it.
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
    speed: Speed
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
    def is_slower(self) -> bool:
        """Whether the target's own evidence says that the artifact is slower than the float model."""
        return self.artifact.recipe.scheme != "float" and self.speed.slowness is not None

    def does_what_was_asked(self, recipe: Recipe) -> bool:
        """Whether the recipe's scheme changed anything of the model."""
        return self.artifact.recipe.scheme == recipe.scheme
