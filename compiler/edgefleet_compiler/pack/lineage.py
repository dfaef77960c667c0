"""Lineage: which source, data, recipe, passes and tools an artifact comes from."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.source import Source
from edgefleet_contract import canonical
from edgefleet_contract.manifest import DataSource, Lineage

_TOOLS = ("edgefleet", "ai-edge-litert", "numpy", "onnx", "onnx-ir", "onnxruntime", "scipy")
_OF_TENSORFLOW = ("h5py", "keras", "tensorflow", "tensorflow-cpu")


def lineage_of(source: Source, artifact: Artifact, calibration: DataSet | None, validation: DataSet | None) -> Lineage:
    """Where an artifact comes from."""
    compression = artifact.recipe.compress
    is_converted = source.file.format != source.file.runs_as  # only TensorFlow loads it
    is_trained = compression is not None and compression.finetune is not None
    sets = {"calibration": calibration, "validation": validation}
    return Lineage(
        source_sha256=source.sha256,
        recipe_sha256=canonical.sha256(artifact.recipe.to_toml().encode()),
        data=[DataSource(role, data.sha256) for role, data in sets.items() if data is not None],
        passes=[record.name for record in (*source.passes, *artifact.passes)],
        tools=tool_versions() | (_versions(_OF_TENSORFLOW) if is_converted or is_trained else {}),
    )


def tool_versions() -> dict[str, str]:
    """The versions of what all artifacts are made with, by name; what is run from a source tree has none."""
    return _versions(_TOOLS)


def _versions(tools: Iterable[str]) -> dict[str, str]:
    return {tool: version for tool in tools if (version := _version(tool))}


def _version(tool: str) -> str | None:
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError:
        return None
