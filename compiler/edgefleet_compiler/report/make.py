"""From what was found out to the report's record."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from edgefleet_compiler.checks.layers import Layer
from edgefleet_compiler.ladder.climb import Climb
from edgefleet_compiler.lossless.record import lossless_pruning
from edgefleet_compiler.lowered.costs import layer_macs
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.pack.file import Packed
from edgefleet_compiler.report.record import ArtifactFile, BundleFile, PassEntry, Report, SourceFile
from edgefleet_compiler.source import Source
from edgefleet_contract import canonical
from edgefleet_contract.errors import GateError
from edgefleet_hardware.profile import TargetProfile


def make_report(
    source: Source,
    profile: TargetProfile,
    climbed: Climb,
    bundle: Packed | None,
    *,
    folder: Path,
    warnings: list[str],
) -> Report:
    """The report of what was shipped, or nearly.

    Args:
        source: The model.
        profile: The target.
        climbed: What came of the rungs, and which is shipped.
        bundle: What was packed; None for an attempt that was refused.
        folder: Where the files will stand in the end.
        warnings: What a person should know.
    """
    attempt = climbed.attempt
    artifact, exported, place = attempt.artifact, attempt.artifact.exported, folder.absolute()
    return Report(
        source=_source_file(source),
        target=profile.name,
        recipe=artifact.recipe.scheme,
        rungs=climbed.steps,
        artifact=ArtifactFile(
            path=str(place / artifact.file_name),
            format=artifact.recipe.format,
            bytes=len(artifact.data),
            sha256=canonical.sha256(artifact.data),
        ),
        bundle=None if bundle is None else _bundle_file(bundle, place),
        weights_bytes=exported.weights_bytes,
        peak_ram_bytes=None if attempt.memory is None else attempt.memory.bytes,
        peak_ram_of=None if attempt.memory is None else attempt.memory.planner,
        macs=exported.macs,
        compress=artifact.compress,
        lossless=None if exported.pruned is None else lossless_pruning(exported.pruned),
        passes=[PassEntry(record.name, record.seconds, record.effect) for record in (*source.passes, *artifact.passes)],
        parity=attempt.measurement.parity,
        accuracy=attempt.measurement.accuracy,
        latency=attempt.speed.latency,
        instructions=attempt.speed.instructions,
        deployment=attempt.deployment,
        layers=_with_macs(attempt.layers, exported.lowered),
        findings=attempt.findings,
        budget=attempt.budget,
        verdict="refused" if attempt.refusals else "accepted",
        refusals=[refusal.as_json() for refusal in attempt.refusals],
        warnings=warnings,
    )


def make_refusal(source: Source, profile: TargetProfile, refusal: GateError) -> Report:
    """The report of a target for which no artifact could be made."""
    return Report(
        source=_source_file(source),
        target=profile.name,
        recipe=None,
        rungs=[],
        artifact=None,
        bundle=None,
        weights_bytes=None,
        peak_ram_bytes=None,
        peak_ram_of=None,
        macs=None,
        compress=None,
        lossless=None,
        passes=[PassEntry(record.name, record.seconds, record.effect) for record in source.passes],
        parity=[],
        accuracy=None,
        latency=None,
        instructions=None,
        deployment=None,
        layers=[],
        findings=[],
        budget=[],
        verdict="refused",
        refusals=[refusal.as_json()],
        warnings=[],
    )


def _with_macs(layers: list[Layer], lowered: LoweredGraph | None) -> list[Layer]:
    if lowered is None:
        return layers
    macs = layer_macs(lowered)
    return [replace(layer, macs=macs.get(layer.name, 0)) for layer in layers]


def _source_file(source: Source) -> SourceFile:
    return SourceFile(str(source.file.path), source.sha256, source.file.format, source.file.size)


def _bundle_file(bundle: Packed, place: Path) -> BundleFile:
    return BundleFile(str(place / bundle.path.name), bundle.bytes, bundle.sha256, bundle.digest)
