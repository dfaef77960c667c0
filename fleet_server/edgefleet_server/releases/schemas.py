"""What the API says of releases."""

from __future__ import annotations

from pydantic import BaseModel
from sqlalchemy.orm import Session

from edgefleet_contract import manifest as manifests
from edgefleet_server.releases import withdrawals
from edgefleet_server.releases.models import Release


class BlobSchema(BaseModel):
    """A file that is there."""

    sha256: str
    bytes: int


class QualitySchema(BaseModel):
    """A measured quality."""

    metric: str
    value: float
    n: int


class BundleSchema(BaseModel):
    """One bundle of a release.

    Attributes:
        baseline, compiled: The original model's measurement, and the compiled one's; None where there is none.
    """

    digest: str
    target: str
    hardware: list[str]
    format: str
    bytes: int
    sha256: str
    baseline: QualitySchema | None
    compiled: QualitySchema | None
    has_reference: bool
    has_vectors: bool
    private: bool


class ReleaseSchema(BaseModel):
    """A release; ``label`` is what commands call it.

    Attributes:
        withdrawn_at: UTC milliseconds; None while it may be assigned.
        running_on: The devices that still run it, where it was withdrawn.
    """

    label: str
    name: str
    version: str
    security_floor: int
    issued: int
    pushed_at: int
    withdrawn_at: int | None
    running_on: list[str]
    bundles: list[BundleSchema]


def release_schema(session: Session, release: Release) -> ReleaseSchema:
    """Describe a release."""
    bundles = []
    for bundle in release.bundles:
        manifest = manifests.decode(bundle.manifest)
        bundles.append(
            BundleSchema(
                digest=bundle.digest,
                target=bundle.target,
                hardware=bundle.hardware,
                format=manifest.format,
                bytes=bundle.size,
                sha256=bundle.sha256,
                baseline=_quality(manifest.baseline),
                compiled=_quality(manifest.compiled),
                has_reference=bundle.reference_sha256 is not None,
                has_vectors=bundle.vectors_sha256 is not None,
                private=bundle.private,
            )
        )
    return ReleaseSchema(
        label=release.label,
        name=release.name,
        version=release.version,
        security_floor=release.security_floor,
        issued=release.issued,
        pushed_at=release.pushed_at,
        withdrawn_at=release.withdrawn_at,
        running_on=withdrawals.running(session, release) if release.withdrawn_at is not None else [],
        bundles=bundles,
    )


def _quality(measured: manifests.Measured | None) -> QualitySchema | None:
    return QualitySchema(metric=measured.metric, value=measured.value, n=measured.n) if measured else None
