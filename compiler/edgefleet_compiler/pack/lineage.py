"""Lineage: which source, data, recipe, passes and tools an artifact comes from."""

from __future__ import annotations

from importlib import metadata

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.source import Source
from edgefleet_contract import canonical
from edgefleet_contract.manifest import DataSource, Lineage

_TOOLS = ("edgefleet", "ai-edge-litert", "numpy", "onnx", "onnx-ir", "onnxruntime")


def lineage_of(source: Source, artifact: Artifact, calibration: DataSet | None, validation: DataSet | None) -> Lineage:
    """Where an artifact comes from."""
    sets = {"calibration": calibration, "validation": validation}
    return Lineage(
        source_sha256=source.sha256,
        recipe_sha256=canonical.sha256(artifact.recipe.to_toml().encode()),
        data=[DataSource(role, data.sha256) for role, data in sets.items() if data is not None],
        passes=[record.name for record in (*source.passes, *artifact.passes)],
        tools=tool_versions(),
    )


def tool_versions() -> dict[str, str]:
    """The versions of what artifacts are made with, by name; what is run from a source tree has none."""
    return {tool: version for tool in _TOOLS if (version := _version(tool))}


def _version(tool: str) -> str | None:
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError:
        return None
