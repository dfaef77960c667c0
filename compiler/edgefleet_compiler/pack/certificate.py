"""The certificate of lossless pruning that goes into a bundle."""

from __future__ import annotations

from typing import Literal

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.lossless.certificate import certify
from edgefleet_compiler.source import Source
from edgefleet_contract import canonical


def certificate_of(source: Source, artifact: Artifact) -> bytes | None:
    """The certificate of an artifact.

    Args:
        source: What it was compiled from.
        artifact: What came of it.

    Returns:
        Canonical JSON; None where there is nothing to certify. For a quantised TFLite source there always is, be it
        that no channel went: then the certificate says that the artifact is the source in other bytes.
    """
    pruned = artifact.exported.pruned
    if pruned is None:
        return None
    refers_to: Literal["source", "unpruned"]
    if artifact.hub is None and source.file.format == "tflite":
        refers_to, sha256, io = "source", source.sha256, artifact.recipe.io
    elif pruned.removal.kept:
        refers_to, sha256, io = "unpruned", canonical.sha256(pruned.whole_data), "source"
    else:
        return None
    certificate = certify(pruned.whole, pruned.removal, artifact.data, refers_to=refers_to, whole_sha256=sha256, io=io)
    return canonical.encode(certificate)
