"""Releases: what the publisher signed, checked with the same code that devices check it with."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, trust
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import Conflict, HashMismatch, NotFound, SignatureInvalid, UsageMalformed, WrongTarget
from edgefleet_contract.manifest import Manifest
from edgefleet_server.audit.change import Change
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.content_keys import ContentKeys
from edgefleet_server.releases.models import Blob, Release, ReleasedBundle
from edgefleet_server.trust import released
from edgefleet_server.trust.repository import Repository


def add_blob(session: Session, now: int, sha256: str, size: int) -> None:
    """Remember that a blob is there."""
    if session.get(Blob, sha256) is None:
        session.add(Blob(sha256=sha256, size=size, stored_at=now))
        session.flush()


def release(session: Session, label: str) -> Release:
    """The release that people call NAME@VERSION.

    Raises:
        UsageMalformed: That is no such label.
        NotFound: There is no such release.
    """
    name, version = _split(label)
    found = session.scalars(select(Release).where(Release.name == name, Release.version == version)).first()
    if found is None:
        raise NotFound(f"There is no release {label!r}", remedy="`edgefleet release list` shows them.")
    return found


def check_assignable(release: Release) -> None:
    """Refuse what was withdrawn.

    Raises:
        Conflict: It was.
    """
    if release.withdrawn_at is not None:
        raise Conflict(
            f"The release {release.label} was withdrawn: no device takes it any more",
            remedy="Choose another: `edgefleet release list` shows them.",
        )


def releases(session: Session) -> list[Release]:
    """All releases, the newest first."""
    return list(session.scalars(select(Release).order_by(Release.id.desc())))


def labels(session: Session, digests: set[str]) -> dict[str, str]:
    """NAME@VERSION by digest, for those of ``digests`` that are released."""
    bundles = session.scalars(select(ReleasedBundle).where(ReleasedBundle.digest.in_(digests)))
    return {bundle.digest: bundle.release.label for bundle in bundles}


def push(change: Change, repository: Repository, label: str, blobs: BlobStore, content_keys: ContentKeys) -> Release:
    """Take a release that the publisher's metadata speak of, and whose bundles have been uploaded.

    A release that is there already is not touched: the same bundles again are no error, and bring files back that the
    disk has lost.

    Args:
        change: The operator's.
        repository: As it stands in this transaction.
        label: NAME@VERSION.
        blobs: Where bundles have been uploaded to.
        content_keys: Open the private ones.

    Raises:
        Conflict: This name and version stands for other bundles.
        NotFound: The metadata do not speak of it, or a bundle has not been uploaded.
        VerificationError: A bundle is not what is said of it.
    """
    session = change.session
    name, version = _split(label)
    statement, stated = released.bundles(repository.model(name), version)
    if statement is None:
        raise NotFound(
            f"The publisher's metadata do not speak of {label!r}", remedy="Push with `edgefleet release push`."
        )
    same = session.scalars(select(Release).where(Release.name == name, Release.version == version)).first()
    if same is not None:
        if {bundle.digest for bundle in same.bundles} == {bundle.digest for bundle in stated}:
            _restore(same, blobs, content_keys)
            same.issued = statement.issued
            return same
        raise Conflict(
            f"The release {same.label} is there already, with other bundles",
            remedy="A version never changes: give the new bundles a new one.",
        )
    added = Release(
        name=name,
        version=version,
        issued=statement.issued,
        security_floor=statement.security_floor,
        pushed_at=change.now,
        bundles=[_take_bundle(change, statement, bundle, blobs, content_keys) for bundle in stated],
    )
    session.add(added)
    session.flush()
    change.record("release.pushed", release=added.label, bundles=[bundle.digest for bundle in added.bundles])
    return added


def _split(label: str) -> tuple[str, str]:
    name, at, version = label.rpartition("@")
    if not at:
        raise UsageMalformed(f"The release is {label!r}", expected="NAME@VERSION, such as digits@1.0.0")
    return name, version


def _restore(release: Release, blobs: BlobStore, content_keys: ContentKeys) -> None:
    """Copy out of the bundles again what the disk has lost of the copies."""
    for present in release.bundles:
        with content_keys.open(present.sha256, private=present.private) as bundle:
            copies = {
                present.reference_sha256: bundle.manifest.reference,
                present.vectors_sha256: bundle.manifest.vectors,
            }
            for sha256, path in copies.items():
                if sha256 and path and blobs.size(sha256) is None:
                    blobs.store(sha256, bundle.read(path))


def _take_bundle(
    change: Change,
    statement: trust.Release,
    stated: trust.ReleasedBundle,
    blobs: BlobStore,
    content_keys: ContentKeys,
) -> ReleasedBundle:
    """Check an uploaded bundle against its statement, and copy out of it what the server needs: no model is opened."""
    blob = change.session.get(Blob, stated.sha256)
    if blob is None:
        raise NotFound(
            f"The bundle {stated.sha256} has not been uploaded", remedy="Push it with `edgefleet release push`."
        )
    if blob.size != stated.bytes:
        raise HashMismatch(
            f"The bundle {stated.sha256} has {blob.size} bytes", expected=f"{stated.bytes}, as the publisher says"
        )
    with content_keys.open(stated.sha256, private=stated.private) as bundle:
        bundle.verify()
        _check_statement(statement, stated, bundle.digest, bundle.manifest)
        return ReleasedBundle(
            digest=stated.digest,
            target=stated.target,
            hardware=stated.hardware,
            sha256=stated.sha256,
            size=stated.bytes,
            reference_sha256=_copy_out(change, bundle, bundle.manifest.reference, blobs),
            vectors_sha256=_copy_out(change, bundle, bundle.manifest.vectors, blobs),
            manifest=bundle.manifest_bytes,
            private=stated.private,
        )


def _check_statement(statement: trust.Release, stated: trust.ReleasedBundle, digest: str, manifest: Manifest) -> None:
    if digest != stated.digest:
        raise HashMismatch(f"The bundle's digest is {digest}", expected=f"{stated.digest}, as the publisher says")
    said = (statement.name, statement.version, statement.security_floor)
    if (manifest.name, manifest.version, manifest.security_floor) != said:
        raise SignatureInvalid(
            f"The bundle is of {manifest.name} {manifest.version} with security floor {manifest.security_floor}",
            expected=f"{said[0]} {said[1]} with security floor {said[2]}, as the publisher says",
        )
    if manifest.target != stated.target or manifest.hardware != stated.hardware:
        raise WrongTarget(
            f"The bundle is for {manifest.target} ({', '.join(manifest.hardware)})",
            expected=f"{stated.target} ({', '.join(stated.hardware)}), as the publisher says",
        )


def _copy_out(change: Change, bundle: Bundle, path: str | None, blobs: BlobStore) -> str | None:
    if path is None:
        return None
    content = bundle.read(path)
    sha256 = canonical.sha256(content)
    blobs.store(sha256, content)
    add_blob(change.session, change.now, sha256, len(content))
    return sha256
