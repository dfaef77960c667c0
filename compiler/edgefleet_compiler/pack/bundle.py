"""The bundle of an accepted artifact: everything that a device and a server need to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.checks.accuracy import Accuracy
from edgefleet_compiler.checks.measure import Examiner
from edgefleet_compiler.checks.operators import oldest_release
from edgefleet_compiler.checks.runtimes import execution_of
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.lossless.certificate import FILE as CERTIFICATE
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pack.certificate import certificate_of
from edgefleet_compiler.pack.file import Packed, write_file
from edgefleet_compiler.pack.golden import golden_vectors, labelled_vectors
from edgefleet_compiler.pack.lineage import lineage_of
from edgefleet_compiler.pack.reference import reference_sketch
from edgefleet_compiler.source import Source
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract import canonical
from edgefleet_contract.manifest import (
    VERSION,
    FileEntry,
    Manifest,
    Measured,
    Preprocessing,
    RuntimeNeed,
    TensorSpec,
)
from edgefleet_hardware.profile import TargetProfile

RECIPE = "recipe.toml"
_REFERENCE = "reference.json"
_VECTORS = "vectors.npz"


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle.

    Attributes:
        source: The model that was compiled.
        artifact: What came of it.
        profile: The target.
        accuracy: What it keeps; None without data.
        calibration: What it was calibrated with; the reference sketch comes from here.
        validation: What it was measured on.
    """

    source: Source
    artifact: Artifact
    profile: TargetProfile
    accuracy: Accuracy | None
    calibration: DataSet | None
    validation: DataSet | None


def pack_bundle(contents: Contents, options: CompileOptions, examiner: Examiner, *, name: str, folder: Path) -> Packed:
    """Write the bundle ``NAME-VERSION-TARGET.efb``; equal arguments give equal bytes.

    Args:
        contents: What goes in.
        options: Version, labels and normalisation of the model.
        examiner: Has the cases that the golden vectors are made of.
        name: Of the bundle.
        folder: Where to write it.

    Raises:
        DataMalformed: A case that cannot be used.
    """
    artifact, source, profile, accuracy = contents.artifact, contents.source, contents.profile, contents.accuracy
    runtime = profile.runtime_for(artifact.recipe.format)
    runner = examiner.open(artifact, execution_of(runtime.name))
    golden, files = golden_vectors(artifact, examiner, execution_of(runtime.name))
    files = {artifact.file_name: artifact.data, RECIPE: artifact.recipe.to_toml().encode(), **files}
    taken, given = runner.runner.inputs, runner.runner.outputs
    inputs = [_specify(*pair, artifact, options) for pair in zip(source.inputs, taken, strict=False)]
    outputs = [_specify(*pair, artifact, None) for pair in zip(source.outputs, given, strict=False)]
    states = [_state(tensor) for tensor in taken[len(inputs) :]]
    certificate = certificate_of(source, artifact)
    if certificate is not None:
        files[CERTIFICATE] = certificate
    vectors = labelled_vectors(contents.validation, runner, [*inputs, *states])
    if vectors is not None:
        files[_VECTORS] = vectors
    if contents.calibration is not None:
        files[_REFERENCE] = canonical.encode(reference_sketch(contents.calibration, runner, inputs))
    manifest = Manifest(
        v=VERSION,
        name=name,
        version=options.version,
        security_floor=0,
        target=profile.name,
        hardware=profile.hardware,
        format=artifact.recipe.format,
        runtime=RuntimeNeed(
            runtime.name, oldest_release(artifact.exported, runtime), list(artifact.exported.operators)
        ),
        artifact=artifact.file_name,
        inputs=[*inputs, *states],
        outputs=[*outputs, *(_state(tensor) for tensor in given[len(outputs) :])],
        files=_entries(files),
        golden=golden,
        lineage=lineage_of(source, artifact, contents.calibration, contents.validation),
        labels=list(options.labels),
        vectors=_VECTORS if vectors is not None else None,
        reference=_REFERENCE if contents.calibration is not None else None,
        baseline=Measured(accuracy.metric, accuracy.baseline, accuracy.n) if accuracy else None,
        compiled=Measured(accuracy.metric, accuracy.compiled, accuracy.n) if accuracy else None,
    )
    path = folder / f"{name}-{options.version}-{profile.name}.efb"
    return write_file(path, manifest, files)


def _entries(files: Mapping[str, bytes]) -> list[FileEntry]:
    return [FileEntry(path, canonical.sha256(data), len(data)) for path, data in sorted(files.items())]


def _state(tensor: TensorInfo) -> TensorSpec:
    """A state of an ONNX artifact, which callers keep from one inference to the next."""
    return TensorSpec(
        name=tensor.name,
        dtype=str(tensor.dtype),
        shape=list(tensor.shape),
        axes="",
        quantisation=tensor.quantisation,
        preprocessing=None,
    )


def _specify(source: TensorInfo, stored: TensorInfo, artifact: Artifact, options: CompileOptions | None) -> TensorSpec:
    """An input or output as the manifest has it: the source's name, the artifact's form."""
    moved = artifact.exported.stored_axes.get(source.name)
    axes = "".join(source.axes[axis] for axis in moved) if source.axes and moved else source.axes
    normalisation = options.normalisation if options is not None and source.is_image else None
    return TensorSpec(
        name=source.name,
        dtype=str(stored.dtype),
        shape=list(stored.shape),
        axes=axes,
        quantisation=stored.quantisation,
        preprocessing=Preprocessing(list(normalisation.mean), list(normalisation.std)) if normalisation else None,
    )
