"""``report.json``: its fields are a contract (design, section 4.1); a change of meaning raises ``SCHEMA_VERSION``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from edgefleet_compiler.benchmark.evidence import InstructionEvidence
from edgefleet_compiler.checks.accuracy import Accuracy
from edgefleet_compiler.checks.budget import BudgetLine
from edgefleet_compiler.checks.deployment import Deployment
from edgefleet_compiler.checks.latency import Latency
from edgefleet_compiler.checks.layers import Layer
from edgefleet_compiler.checks.parity import Parity
from edgefleet_compiler.compress.record import CompressionRecord
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.ladder.record import Step
from edgefleet_compiler.lossless.record import LosslessPruning

SCHEMA_VERSION = 1


class SourceFile(msgspec.Struct, frozen=True):
    """The model that was compiled."""

    path: str
    sha256: str
    format: str
    bytes: int


class ArtifactFile(msgspec.Struct, frozen=True):
    """The artifact that was written; ``path`` is absolute."""

    path: str
    format: str
    bytes: int
    sha256: str


class BundleFile(msgspec.Struct, frozen=True):
    """The bundle that was written; ``path`` is absolute, ``digest`` its identity, ``sha256`` that of the file."""

    path: str
    bytes: int
    sha256: str
    digest: str


class PassEntry(msgspec.Struct, frozen=True):
    """One pass, the seconds it took and what it did."""

    name: str
    seconds: float
    effect: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a compilation for one target found out.

    Attributes:
        source: The model that was compiled.
        target: Name of the target profile.
        recipe: The scheme that was applied.
        rungs: What was tried, in order; one rung where the recipe was not ``auto``.
        artifact: None where none could be made.
        bundle: None where the verdict is "refused".
        weights_bytes: Constants in the artifact.
        peak_ram_bytes: Working memory at its peak, by the planner of the target's runtime; None where none takes the
            model.
        peak_ram_of: The planner that says so.
        macs: Multiply-accumulates of one inference; None as above.
        compress: What the recipe's table [compress] took away of the float model; None where it has none.
        lossless: What lossless pruning took, or that there was nothing to take; None where it was not asked for, and
            for artifacts that are no TFLite in int8.
        passes: In the order in which they ran.
        parity: Against the source and against the float hub.
        accuracy: None without data.
        latency: None without evidence from the target itself.
        instructions: In an emulated Raspberry Pi; None where EDGEFLEET_PI_EVIDENCE does not ask for them.
        deployment: What the host's runtime, of the target's kind, makes of the artifact; None for TFLite Micro, and
            where no artifact could be made.
        layers: By the names of the source.
        findings: Layers that int8 serves badly, why, and what a remedy brings that was tried.
        budget: Each limit, and whether it is kept.
        verdict: "refused" if any gate said no.
        refusals: The gates that said no, as their errors' JSON.
        warnings: What a person should know, in sentences.
    """

    schema_version: int = SCHEMA_VERSION
    source: SourceFile
    target: str
    recipe: str | None
    rungs: list[Step]
    artifact: ArtifactFile | None
    bundle: BundleFile | None
    weights_bytes: int | None
    peak_ram_bytes: int | None
    peak_ram_of: str | None
    macs: int | None
    compress: CompressionRecord | None
    lossless: LosslessPruning | None
    passes: list[PassEntry]
    parity: list[Parity]
    accuracy: Accuracy | None
    latency: Latency | None
    instructions: InstructionEvidence | None
    deployment: Deployment | None
    layers: list[Layer]
    findings: list[Finding]
    budget: list[BudgetLine]
    verdict: Literal["accepted", "refused"]
    refusals: list[dict[str, Any]]
    warnings: list[str]

    def as_json(self) -> bytes:
        """The report as indented JSON; every number in it is finite."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


File = TypeVar("File", ArtifactFile, BundleFile)


def moved(report: Report, folder: Path) -> Report:
    """The report of files that now stand in another folder."""

    def there(file: File | None) -> File | None:
        return None if file is None else replace(file, path=str(folder / Path(file.path).name))

    return replace(report, artifact=there(report.artifact), bundle=there(report.bundle))
