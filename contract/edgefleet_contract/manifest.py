"""The manifest: what a bundle says of itself. Its canonical bytes are the bundle's identity (see ``digest``)."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_contract import canonical, identifiers, keys
from edgefleet_contract.errors import BundleMalformed, StatementMalformed

VERSION = 1
MANIFEST_LIMIT = 1024 * 1024  # bytes
RETENTION_LIMIT = 3650  # days: ten years


class Affine(msgspec.Struct, frozen=True):
    """Quantisation of an input or output: real = scale * (stored - zero_point)."""

    scale: float
    zero_point: int


class Preprocessing(msgspec.Struct, frozen=True):
    """What turns the pixels of a picture (0 to 255) into the input's real values: (pixel - mean) / std.

    One value for all channels, or one for each. Arrays, golden vectors and rollout vectors hold real values already.
    """

    mean: list[float]
    std: list[float]


class TensorSpec(msgspec.Struct, frozen=True):
    """One input or output of the artifact.

    Attributes:
        name: As in the source model.
        dtype: numpy's name of the stored element type ("float32", "int8").
        shape: With the batch, which is 1.
        axes: One letter an axis ("NHWC", "NCHW"), or "" where the axes have no such names.
        quantisation: None for float.
        preprocessing: None when pixels go in as they are.
    """

    name: str
    dtype: str
    shape: list[int]
    axes: str = ""
    quantisation: Affine | None = None
    preprocessing: Preprocessing | None = None


class FileEntry(msgspec.Struct, frozen=True):
    """A file of the bundle. ``path`` is what it is called when unpacked; in the bundle it lies under its hash."""

    path: str
    sha256: str
    bytes: int


class RuntimeNeed(msgspec.Struct, frozen=True):
    """What the device needs to run the artifact."""

    name: Literal["litert", "onnxruntime", "onnxruntime-web", "tflite-micro", "tflite-runtime"]
    min_version: str
    operators: list[str]


class GoldenVectors(msgspec.Struct, frozen=True):
    """Inputs with the outputs expected, as ``.npz``: arrays ``in/NAME`` and ``out/NAME``, first axis the case.

    Attributes:
        oracle: "artifact": does this runtime compute it? "baseline": is it still the model?
        path: The file of the bundle.
        n: Cases.
        max_abs: Largest absolute difference allowed, in the output's real units.
        min_argmax_agreement: Smallest share of cases whose largest output must be at the same place.
    """

    oracle: Literal["artifact", "baseline"]
    path: str
    n: int
    max_abs: float
    min_argmax_agreement: float


class Measured(msgspec.Struct, frozen=True):
    """A measured quality: the metric's name and value over ``n`` cases."""

    metric: str
    value: float
    n: int


class Consent(msgspec.Struct, frozen=True):
    """What raw samples are taken for, and who alone can read them. Without one no sample leaves a device.

    Attributes:
        purpose: Why they are taken, in words for the people whom they are of.
        contact: Whom to ask about them, or a reference to the agreement.
        recipient: The public key that samples are sealed to (P-256, as ``keys.public_text`` writes it).
        retention_days: How long the server keeps one, at most.
    """

    purpose: str
    contact: str
    recipient: str
    retention_days: int


class SamplingPolicy(msgspec.Struct, frozen=True):
    """Which inferences the agent keeps as raw samples; none by default.

    Attributes:
        rate: Share of inferences kept, 0 to 1.
        max_per_day: The most samples a day.
        consent: Lets samples be sent, sealed; without it they stay on the device.
    """

    rate: float = 0.0
    max_per_day: int = 0
    consent: Consent | msgspec.UnsetType = msgspec.UNSET  # left out of the bytes where there is none


class DataSource(msgspec.Struct, frozen=True):
    """A data set that went into the artifact: its role ("calibration", "validation") and hash."""

    role: str
    sha256: str


class Lineage(msgspec.Struct, frozen=True):
    """Where the artifact comes from: enough to ask "who runs anything derived from this data set?"."""

    source_sha256: str
    recipe_sha256: str
    data: list[DataSource] = []
    passes: list[str] = []
    tools: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True):
    """Everything a device or server may want to know without opening the artifact.

    Attributes:
        name, version: The model and its semantic version; labels, not an order.
        security_floor: Set by the publisher: nothing below the highest confirmed one runs.
        target: The target profile's name.
        hardware: Hardware names this bundle is for; a device matches by its declared hardware.
        artifact: Path of the artifact among ``files``.
        golden: Both sets of golden vectors.
        vectors: Path of the labelled baseline vectors (``.npz``: ``x`` or one array an input, and ``y``), the
            default rollout vectors; None when there were no labels.
        reference: Path of the reference sketch; None when there was no calibration set.
    """

    v: int
    name: str
    version: str
    security_floor: int
    target: str
    hardware: list[str]
    format: Literal["tflite", "onnx", "c"]
    runtime: RuntimeNeed
    artifact: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    files: list[FileEntry]
    golden: list[GoldenVectors]
    lineage: Lineage
    labels: list[str] = []
    vectors: str | None = None
    reference: str | None = None
    baseline: Measured | None = None
    compiled: Measured | None = None
    sampling: SamplingPolicy = SamplingPolicy()

    def file(self, path: str) -> FileEntry:
        """The entry of ``path``.

        Raises:
            BundleMalformed: The manifest lists no such file.
        """
        for entry in self.files:
            if entry.path == path:
                return entry
        raise BundleMalformed(f"The manifest lists no file {path!r}")


def encode(manifest: Manifest) -> bytes:
    """The canonical bytes of ``manifest``."""
    return canonical.encode(manifest)


def digest(data: bytes) -> str:
    """The identity of a bundle: SHA-256 of its manifest's bytes."""
    return canonical.sha256(data)


def decode(data: bytes) -> Manifest:
    """Parse and check a manifest.

    Raises:
        BundleMalformed: No manifest, an unknown version, paths that repeat or escape, or references to files that
            are not listed.
    """
    manifest = canonical.decode(data, Manifest, what="manifest", limit=MANIFEST_LIMIT, error=BundleMalformed)
    if manifest.v != VERSION:
        raise BundleMalformed(
            f"The manifest has version {manifest.v}", expected=str(VERSION), remedy="Update edgefleet to read it."
        )
    _check_files(manifest)
    if manifest.sampling.consent is not msgspec.UNSET:
        _check_consent(manifest.sampling.consent)
    return manifest


def _check_files(manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    if len(set(paths)) != len(paths):
        raise BundleMalformed("The manifest lists a path twice")
    for entry in manifest.files:
        if not is_safe_path(entry.path):
            raise BundleMalformed(f"The manifest lists the path {entry.path!r}", expected="a relative path inside")
        if not identifiers.is_digest(entry.sha256) or entry.bytes < 0:
            raise BundleMalformed(f"The entry of {entry.path!r} has no valid hash or size")
    named = [manifest.artifact, manifest.vectors, manifest.reference, *(golden.path for golden in manifest.golden)]
    for path in named:
        if path is not None:
            manifest.file(path)


def _check_consent(consent: Consent) -> None:
    if not consent.purpose.strip() or not consent.contact.strip() or not 1 <= consent.retention_days <= RETENTION_LIMIT:
        raise BundleMalformed(
            "The manifest's consent to samples lacks a purpose, a contact or a term",
            expected=f"words in both, and 1 to {RETENTION_LIMIT} retention_days",
        )
    try:
        keys.recipient_from_text(consent.recipient)
    except StatementMalformed as cause:
        raise BundleMalformed(f"The manifest's consent names no recipient: {cause.seen}") from cause


def is_safe_path(path: str) -> bool:
    """Whether ``path`` is relative, plain and stays inside the folder it is unpacked to."""
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") and len(part) <= 128 for part in parts)
    return plain and len(parts) <= 8 and not any(character in path for character in '\\:\0<>|?*"')
