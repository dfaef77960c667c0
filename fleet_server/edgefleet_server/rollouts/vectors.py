"""By which cases a release is judged: those that the operator gives, else those of what runs now."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from edgefleet_contract import manifest as manifests
from edgefleet_contract.errors import DataMalformed, NotFound
from edgefleet_contract.manifest import Manifest
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.models import Blob, Release, ReleasedBundle
from edgefleet_server.rollouts.planning import bundle_for
from edgefleet_server.rollouts.vectors_file import check_fitting


@dataclass(frozen=True)
class Vectors:
    """Rollout vectors, and where they come from, for people."""

    sha256: str
    origin: str


def choose(
    session: Session, given: str | None, release: Release, served: Sequence[Device], blobs: BlobStore
) -> Vectors | None:
    """The vectors by which ``release`` is judged on the devices that it has a bundle for.

    Args:
        session: Of the rollout's creation.
        given: SHA-256 of those that the operator has uploaded; None takes the default.
        release: To be rolled out.
        served: At least one device.
        blobs: Where vectors lie.

    Returns:
        None when none are given and what runs now has brought none.

    Raises:
        NotFound: They have not been uploaded.
        DataMalformed: They cannot judge a bundle of the release.
    """
    bundles = {bundle.digest: bundle for device in served if (bundle := bundle_for(release, device.hardware))}
    judged = [manifests.decode(bundle.manifest) for bundle in bundles.values()]
    if given is not None:
        return _given(session, given, judged, blobs)
    vectors = _default(session, release, served)
    if vectors is not None:
        try:
            check_fitting(blobs.file(vectors.sha256), judged, f"The {vectors.origin}")
        except DataMalformed as cause:
            raise DataMalformed(
                cause.seen, expected=cause.expected, remedy="Give vectors that fit, with --vectors.", **cause.facts
            ) from cause
    return vectors


def _given(session: Session, sha256: str, judged: Sequence[Manifest], blobs: BlobStore) -> Vectors:
    if session.get(Blob, sha256) is None:
        raise NotFound(f"The vectors {sha256} have not been uploaded")
    check_fitting(blobs.file(sha256), judged)
    for manifest in judged:
        if math.prod(manifest.outputs[0].shape) == 1:
            raise DataMalformed(
                f"Labels cannot judge {manifest.name}@{manifest.version} for {manifest.target}, whose first output is "
                "a single value",
                expected="a model with an output value for each label",
                remedy="Roll it out without --vectors.",
            )
    return Vectors(sha256, "given by the operator")


def _default(session: Session, release: Release, devices: Sequence[Device]) -> Vectors | None:
    """The labelled baseline vectors of what most of ``devices`` run now, if that is the same model.

    So a new version is judged by cases that it did not bring itself.
    """
    running = Counter(device.twin.running for device in devices if device.twin.running is not None)
    for digest, _ in running.most_common():
        incumbent = session.get(ReleasedBundle, digest)
        if incumbent is not None and incumbent.vectors_sha256 and incumbent.release.name == release.name:
            return Vectors(incumbent.vectors_sha256, f"baseline vectors of {incumbent.release.label}")
    return None
