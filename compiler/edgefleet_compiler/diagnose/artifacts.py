"""The diagnosis of an artifact."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.diagnose.find import Patient, diagnose
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.tensors import Sample


def diagnose_artifact(
    artifact: Artifact, hubs: HubMaker, source_hub: ir.Model, cases: Sequence[Sample]
) -> list[Finding]:
    """What is wrong with the layers of an int8 artifact; other schemes have none of its faults.

    Args:
        artifact: What was made.
        hubs: Where its hubs come from.
        source_hub: The float hub of the source.
        cases: Some that are not of the calibration set, where there are such.
    """
    if artifact.recipe.scheme != "int8" or artifact.hub is None or artifact.float_hub is None:
        return []
    settings = artifact.recipe.settings
    return diagnose(
        Patient(
            source_hub=source_hub,
            source_seen=hubs.calibrator.observed("none", source_hub, histograms=False),
            float_hub=artifact.float_hub,
            seen=hubs.calibrator.observed(settings.equalise, artifact.float_hub, histograms=False),
            hub=artifact.hub,
            settings=settings,
            typical=hubs.typical,
            held_out=cases,
        )
    )
