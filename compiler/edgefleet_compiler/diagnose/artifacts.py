"""The diagnosis of an artifact."""

from __future__ import annotations

from collections.abc import Sequence

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.diagnose.find import Patient, diagnose
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.tensors import Sample


def diagnose_artifact(artifact: Artifact, hubs: HubMaker, cases: Sequence[Sample]) -> list[Finding]:
    """What is wrong with the layers of an int8 artifact; other schemes have none of its faults.

    Args:
        artifact: What was made.
        hubs: Where its hubs come from.
        cases: Some that are not of the calibration set, where there are such.
    """
    if artifact.recipe.scheme != "int8" or artifact.hub is None or artifact.float_hub is None:
        return []
    recipe = artifact.recipe
    return diagnose(
        Patient(
            source_hub=hubs.base(recipe),
            source_seen=hubs.seen_of_base(recipe, histograms=False),
            float_hub=artifact.float_hub,
            seen=hubs.seen(recipe, histograms=False),
            hub=artifact.hub,
            settings=recipe.settings,
            typical=hubs.typical,
            held_out=cases,
        )
    )
